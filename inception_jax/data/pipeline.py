"""Batches for training: endless, and resumable at any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.data import memory, order, reading, transforms, views
from inception_jax.data.colour import ORDERS
from inception_jax.data.corrupt import CorruptImages, following
from inception_jax.data.dataset import Dataset
from inception_jax.data.decode import CorruptImage
from inception_jax.data.distort import INTERPOLATIONS, distort
from inception_jax.data.region import DECODERS, opencv

Batch = dict[str, np.ndarray]
AUGMENTS = ("none", "flip", "shift_flip", "inception")
_CHOICES = {
    "augment": AUGMENTS,
    "colour": tuple(ORDERS),
    "interpolation": tuple(INTERPOLATIONS),
    "decoder": DECODERS,
}
_ENDLESS = 2**48  # positions; more than any run reads
_AHEAD = 4  # batches that are ready before they are asked for


class TrainIterator:
    """Endless `{"image": uint8[B, S, S, C], "label": int32[B]}`; made by `train_iterator`."""

    def __init__(
        self,
        open_at: Callable[[int], Iterator[Batch]],
        identity: dict[str, Any],
        corrupt: CorruptImages,
    ) -> None:
        self._open_at, self._identity, self.corrupt = open_at, identity, corrupt
        self._step = 0
        self._batches: Iterator[Batch] | None = None

    def __iter__(self) -> TrainIterator:
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._open_at(self._step)
        batch = next(self._batches)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs to go on exactly here; can be written as JSON."""
        return {"step": self._step, **self._identity, "corrupt": self.corrupt.found()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where `get_state` was called, with any number of shards or threads.

        Raises:
            UserError: the state belongs to another order of examples.
        """
        for key, mine in self._identity.items():
            if state.get(key) != mine:
                raise errors.UserError(
                    f"the checkpoint's data position is for {key} {state.get(key)!r}, but this run "
                    f"has {mine!r}; use the config it was made with, or a new workdir"
                )
        self._step = int(state["step"])
        self.corrupt.restore(state.get("corrupt", {}))
        self._batches = None


def train_iterator(
    dataset: Dataset, config: ConfigDict, *, shard: tuple[int, int] = (0, 1)
) -> TrainIterator:
    """Training batches; every epoch in a new order, the last incomplete batch of it dropped.

    The global batch of a step, its crops and its augmentation follow from `config.seed` and the
    step alone; a shard gets its consecutive part of it.

    Args:
        dataset: of `load`.
        config: `seed` and the group `data` are read.
        shard: (index, number): which part of each batch is this host's.

    Returns:
        An endless iterator of `{"image": uint8[B, S, S, C], "label": int32[B]}`, where B is
        `data.batch_size` / number of shards and S is `data.image_size`. With "inception" there is
        also "colour" f32[B, 5] for `train.colour`, unless `data.colour` is "none". An image that
        cannot be read is replaced by the next one of the epoch's order; its `corrupt` counts them.

    Raises:
        UserError: a batch larger than the split, or that the shards cannot share evenly.
        UsageError: an augmentation, or a choice within it, that does not exist.
    """
    data: Any = config.data
    count, batch_size = dataset.sizes["train"], data.batch_size
    for key, known in _CHOICES.items():
        if data[key] not in known:
            raise errors.unknown(f"data.{key}", data[key], known)
    if data.augment == "inception" and data.decoder == "opencv":
        opencv()  # not installed is said here, not by a thread
    reading.check_shard(batch_size, shard, "data.batch_size")
    if count < batch_size:
        raise errors.UserError(
            f"data.batch_size is {batch_size}, but the training split of {dataset.name!r} has "
            f"{count} examples; lower data.batch_size"
        )
    whole_batches = data.augment != "inception" and memory.fits(dataset, "train")
    seed: Any = config.seed
    corrupt = CorruptImages(data.max_corrupt)

    def open_at(step: int) -> Iterator[Batch]:
        if whole_batches and _kept(dataset, data):
            return _open_batches(dataset, data, seed, shard, step)
        return _open_examples(dataset, data, seed, shard, step, corrupt)

    identity = {
        "data": dataset.name,
        "examples": count,
        "batch_size": batch_size,
        "seed": seed,
    }
    return TrainIterator(open_at, identity, corrupt)


def _open_batches(
    dataset: Dataset, data: Any, seed: int, shard: tuple[int, int], step: int
) -> Iterator[Batch]:
    """A split in memory: whole batches at once, a hundred times faster than image by image."""
    count = dataset.sizes["train"]
    if data.augment == "shift_flip":
        images, labels = memory.stored(dataset, "train", data.threads)
    else:
        images, labels = memory.viewed(dataset, "train", views.rule(data), data.threads)

    def batch(at: int) -> Batch:
        epoch, indices = order.batch_indices(seed, at, count, data.batch_size, shard)
        chosen = images[indices]
        if data.augment != "none":
            uniforms = order.epoch_uniforms(seed, epoch, count, transforms.UNIFORMS)[indices]
            chosen = _augment(chosen, uniforms, data)
        return {"image": chosen, "label": labels[indices]}

    name = f"{dataset.name} train batches"
    return iter(
        reading.read(reading.Function(batch, step, _ENDLESS, name), min(data.threads, 1), _AHEAD)
    )


def _augment(images: np.ndarray, uniforms: np.ndarray, data: Any) -> np.ndarray:
    """uint8[N, H, W, C] -> uint8[N, S, S, C] for "flip" (already resized) and "shift_flip"."""
    if data.augment == "flip":
        return transforms.flip(images, uniforms)
    moved = transforms.shift_flip(images, uniforms, data.eval_crop)
    if moved.shape[1:3] == (data.image_size, data.image_size):
        return moved
    return np.stack([transforms.resize(image, data.image_size) for image in moved])


def _open_examples(
    dataset: Dataset,
    data: Any,
    seed: int,
    shard: tuple[int, int],
    step: int,
    corrupt: CorruptImages,
) -> Iterator[Batch]:
    """Any split: example by example, over Grain's threads."""
    count, source = dataset.sizes["train"], dataset.source("train")
    share = data.batch_size // shard[1]
    kept = _kept(dataset, data)

    def read(epoch: int, index: int) -> dict[str, Any]:
        item = None if kept else source.item(index)
        if data.augment == "inception":
            rng = order.example_rng(seed, epoch, index)
            content, where = (item.content, item.where) if item else (kept[0][index], "")
            example = distort(content, dataset.channels, where, rng, data)
        else:
            image = item.decoded(dataset.channels)["image"] if item else kept[0][index]
            uniforms = order.epoch_uniforms(seed, epoch, count, transforms.UNIFORMS)[index]
            example = {"image": _plain(image, uniforms, data)}
        return example | {"label": np.int32(item.label if item else kept[1][index])}

    def example(position: int) -> dict[str, Any]:
        at, row = divmod(position, share)
        epoch, within = divmod(at, count // data.batch_size)
        place = within * data.batch_size + shard[0] * share + row
        candidates = following(order.epoch_order(seed, epoch, count), place)
        return corrupt.first_good(candidates, lambda index: read(epoch, index))

    positions = reading.Function(example, step * share, _ENDLESS, f"{dataset.name} train examples")
    return iter(reading.read(positions, data.threads, 2 * share).batch(share))


def _kept(dataset: Dataset, data: Any) -> Any:
    """Images and labels in memory; () where they do not fit, or one cannot be read."""
    if not memory.fits(dataset, "train"):
        return ()
    try:
        return memory.stored(dataset, "train", data.threads)
    except CorruptImage:  # one by one, each can be replaced
        return ()


def _plain(image: np.ndarray, uniforms: np.ndarray, data: Any) -> np.ndarray:
    """One image under "none", "flip" or "shift_flip"."""
    if data.augment == "shift_flip":
        return _augment(image[None], uniforms[None], data)[0]
    image = views.single(image, views.rule(data))
    return transforms.flip(image[None], uniforms[None])[0] if data.augment == "flip" else image

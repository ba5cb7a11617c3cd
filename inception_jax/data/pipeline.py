"""Batches: endless and resumable for training, exactly N examples for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.data import blacklist as blacklists
from inception_jax.data import memory, order, transforms
from inception_jax.data.colour import ORDERS
from inception_jax.data.corrupt import CorruptImages, following
from inception_jax.data.dataset import Dataset
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


class _Function:
    """A function of the position as a Grain source, from `start` on."""

    def __init__(self, function: Callable[[int], Any], start: int, count: int, name: str) -> None:
        self._function, self._start, self._count, self._name = function, start, count, name

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._function(self._start + int(index))

    def __repr__(self) -> str:
        return f"{self._name}[{self._start}:]"


def _read(source: _Function, threads: int, ahead: int) -> Any:
    """Grain's view of a source, read by `threads` threads, `ahead` elements ahead."""
    import grain

    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(ahead, threads) if threads else 0
    )
    return grain.MapDataset.source(source).to_iter_dataset(options)


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
    _check_shard(batch_size, shard, "data.batch_size")
    if count < batch_size:
        raise errors.UserError(
            f"data.batch_size is {batch_size}, but the training split of {dataset.name!r} has "
            f"{count} examples; lower data.batch_size"
        )
    whole_batches = data.augment != "inception" and memory.fits(dataset, "train")
    seed: Any = config.seed
    corrupt = CorruptImages(data.max_corrupt)

    def open_at(step: int) -> Iterator[Batch]:
        if whole_batches:
            return _open_batches(dataset, data, seed, shard, step)
        return _open_examples(dataset, data, seed, shard, step, corrupt)

    identity = {
        "data": dataset.name,
        "examples": count,
        "batch_size": batch_size,
        "seed": seed,
    }
    return TrainIterator(open_at, identity, corrupt)


def _check_shard(batch_size: int, shard: tuple[int, int], key: str) -> None:
    index, number = shard
    if not 0 <= index < number:
        raise ValueError(f"shard {shard} is not (index, number) with 0 <= index < number")
    if batch_size % number:
        raise errors.UserError(
            f"{key} {batch_size} cannot be shared evenly by {number} hosts; make it a multiple"
        )


def _open_batches(
    dataset: Dataset, data: Any, seed: int, shard: tuple[int, int], step: int
) -> Iterator[Batch]:
    """A split in memory: whole batches at once, a hundred times faster than image by image."""
    count = dataset.sizes["train"]
    if data.augment == "shift_flip":
        images, labels = memory.stored(dataset, "train", data.threads)
    else:
        images, labels = memory.resized(
            dataset, "train", data.eval_crop, data.image_size, data.threads
        )

    def batch(at: int) -> Batch:
        epoch, indices = order.batch_indices(seed, at, count, data.batch_size, shard)
        chosen = images[indices]
        if data.augment != "none":
            uniforms = order.epoch_uniforms(seed, epoch, count, transforms.UNIFORMS)[indices]
            chosen = _augment(chosen, uniforms, data)
        return {"image": chosen, "label": labels[indices]}

    name = f"{dataset.name} train batches"
    return iter(_read(_Function(batch, step, _ENDLESS, name), min(data.threads, 1), _AHEAD))


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
    fits = memory.fits(dataset, "train")
    kept: Any = memory.stored(dataset, "train", data.threads) if fits else ()

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

    positions = _Function(example, step * share, _ENDLESS, f"{dataset.name} train examples")
    return iter(_read(positions, data.threads, 2 * share).batch(share))


def _plain(image: np.ndarray, uniforms: np.ndarray, data: Any) -> np.ndarray:
    """One image under "none", "flip" or "shift_flip"."""
    if data.augment == "shift_flip":
        return _augment(image[None], uniforms[None], data)[0]
    image = transforms.for_evaluation(image, data.eval_crop, data.image_size)
    return transforms.flip(image[None], uniforms[None])[0] if data.augment == "flip" else image


def eval_batches(
    dataset: Dataset, config: ConfigDict, split: str, *, shard: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Every example of a split once, in stored order, in batches of one shape.

    Args:
        dataset: of `load`.
        config: the group `data` is read.
        split: "test", "validation" or "train" (without augmentation).
        shard: (index, number): which part of each batch is this host's; all get equally many.

    Yields:
        `{"image": uint8[B, S, S, C], "label": int32[B], "mask": bool[B]}`, where B is
        `data.eval_batch_size` / number of shards. The last batch is filled up with zeros whose
        mask is False: over all shards the masks sum to exactly the size of the split. With
        `data.blacklist`, batches of the test split also say what it lists: "excluded": bool[B].

    Raises:
        UserError: no such split, an image that cannot be read, a batch that the shards cannot
            share evenly, or a blacklist for images without names.
    """
    data: Any = config.data
    source = dataset.source(split)
    listed = blacklists.read(data.blacklist) if split == "test" else None
    _check_shard(data.eval_batch_size, shard, "data.eval_batch_size")
    count, share = len(source), data.eval_batch_size // shard[1]
    steps = -(-count // data.eval_batch_size)
    size, channels = data.image_size, dataset.channels
    if listed and (memory.fits(dataset, split) or not source.item(0).file_name):
        raise errors.UserError(
            f"data.blacklist is set, but the images of {dataset.name!r} have no file names; it is "
            "meant for imagenet2012"
        )
    if memory.fits(dataset, split):
        images, labels = memory.resized(dataset, split, data.eval_crop, size, data.threads)
        for step in range(steps):
            start = min(step * data.eval_batch_size + shard[0] * share, count)
            part = slice(start, min(start + share, count))
            yield _padded(images[part], labels[part], share)
        return

    def example(position: int) -> dict[str, Any]:
        step, row = divmod(position, share)
        index = step * data.eval_batch_size + shard[0] * share + row
        if index >= count:
            empty = np.zeros((size, size, channels), np.uint8)
            excluded = {"excluded": np.bool_(False)} if listed else {}
            return {"image": empty, "label": np.int32(0), "mask": np.bool_(False), **excluded}
        item = source.item(index)
        found = item.decoded(channels)
        image = transforms.for_evaluation(found["image"], data.eval_crop, size)
        excluded = {"excluded": np.bool_(listed.has(item.file_name))} if listed else {}
        label = np.int32(item.label)
        return {"image": image, "label": label, "mask": np.bool_(True), **excluded}

    positions = _Function(example, 0, steps * share, f"{dataset.name} {split} examples")
    yield from _read(positions, data.threads, 2 * share).batch(share)


def _padded(images: np.ndarray, labels: np.ndarray, size: int) -> Batch:
    missing = size - len(images)
    return {
        "image": np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))),
        "label": np.pad(labels, (0, missing)),
        "mask": np.arange(size) < len(images),
    }

"""Batches for evaluation: exactly N examples, each as one view or as many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.data import blacklist as blacklists
from inception_jax.data import memory, reading, views
from inception_jax.data.dataset import Dataset

Batch = dict[str, np.ndarray]


def eval_batches(
    dataset: Dataset,
    config: ConfigDict,
    split: str,
    *,
    shard: tuple[int, int] = (0, 1),
    crops: int = 1,
) -> Iterator[Batch]:
    """Every example of a split once, in stored order, in batches of one shape.

    Args:
        dataset: of `load`.
        config: the group `data` is read.
        split: "test", "validation" or "train" (without augmentation).
        shard: (index, number): which part of each batch is this host's; all get equally many.
        crops: 1, 12 or 144 (`data.views`).

    Yields:
        `{"image": uint8[B, S, S, C], "label": int32[B], "mask": bool[B]}`, where B is
        `data.eval_batch_size` / number of shards. The last batch is filled up with zeros whose
        mask is False: over all shards the masks sum to exactly the size of the split. With
        `data.blacklist`, batches of the test split also say what it lists: "excluded": bool[B].
        With several crops "image" is uint8[B, K, S, S, C], K of `crops_of`.

    Raises:
        UserError: no such split, an image that cannot be read, a batch that the shards cannot
            share evenly, or a blacklist for images without names.
    """
    data: Any = config.data
    how = views.rule(data)
    source = dataset.source(split)
    listed = blacklists.read(data.blacklist) if split == "test" else None
    reading.check_shard(data.eval_batch_size, shard, "data.eval_batch_size")
    count, share = len(source), data.eval_batch_size // shard[1]
    steps = -(-count // data.eval_batch_size)
    channels = dataset.channels
    if listed and (memory.fits(dataset, split) or not source.item(0).file_name):
        raise errors.UserError(
            f"data.blacklist is set, but the images of {dataset.name!r} have no file names; it is "
            "meant for imagenet2012"
        )
    if crops == 1 and memory.fits(dataset, split):
        images, labels = memory.viewed(dataset, split, how, data.threads)
        for step in range(steps):
            start = min(step * data.eval_batch_size + shard[0] * share, count)
            part = slice(start, min(start + share, count))
            yield _padded(images[part], labels[part], share)
        return

    kept: Any = memory.stored(dataset, split, data.threads) if memory.fits(dataset, split) else ()
    square = _square(dataset)
    number = () if crops == 1 else (views.distinct(crops, square),)

    def view(image: np.ndarray) -> np.ndarray:
        return (
            views.single(image, how)
            if crops == 1
            else views.crops(image, how, crops, square=square)
        )

    def example(position: int) -> dict[str, Any]:
        step, row = divmod(position, share)
        index = step * data.eval_batch_size + shard[0] * share + row
        if index >= count:
            empty = np.zeros((*number, how.size, how.size, channels), np.uint8)
            excluded = {"excluded": np.bool_(False)} if listed else {}
            return {"image": empty, "label": np.int32(0), "mask": np.bool_(False), **excluded}
        if kept:
            return {"image": view(kept[0][index]), "label": kept[1][index], "mask": np.bool_(True)}
        item = source.item(index)
        image = view(item.decoded(channels)["image"])
        excluded = {"excluded": np.bool_(listed.has(item.file_name))} if listed else {}
        label = np.int32(item.label)
        return {"image": image, "label": label, "mask": np.bool_(True), **excluded}

    positions = reading.Function(example, 0, steps * share, f"{dataset.name} {split} examples")
    yield from reading.read(positions, data.threads, 2 * share).batch(share)


def crops_of(dataset: Dataset, crops: int) -> int:
    """How many views of an image `eval_batches` gives: 48 stand for 144 where all are square."""
    return views.distinct(crops, _square(dataset))


def _square(dataset: Dataset) -> bool:
    """Whether all images are, so that their left, centre and right squares are one."""
    shape = dataset.image_shape
    return shape is not None and shape[0] == shape[1]


def _padded(images: np.ndarray, labels: np.ndarray, size: int) -> Batch:
    missing = size - len(images)
    return {
        "image": np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))),
        "label": np.pad(labels, (0, missing)),
        "mask": np.arange(size) < len(images),
    }

"""Splits that are small enough are decoded once and kept: in memory, the bundled ones on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import inception_jax
from inception_jax import errors, files
from inception_jax.data.dataset import IN_MEMORY_BYTES, Dataset, decoded_bytes
from inception_jax.data.sources import Source
from inception_jax.data.views import Rule, single

# Decoding a smaller image costs less than handing it to another thread.
_THREADED_BYTES = 2**15
# Of a split that is kept on disk as well; larger ones would double what a user's disk holds.
_ON_DISK_BYTES = 64 * 2**20


def fits(dataset: Dataset, split: str) -> bool:
    """Whether the split's images have one shape and few enough pixels to be kept."""
    size = decoded_bytes(dataset.image_shape, dataset.sizes[split])
    return size is not None and size <= IN_MEMORY_BYTES


def stored(dataset: Dataset, split: str, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[N, H, W, C], int32[N]) of a split as it is stored."""
    return _once(dataset, (split,), lambda: _read_or_decode(dataset, split, threads))


def viewed(dataset: Dataset, split: str, how: Rule, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[N, size, size, C], int32[N]) of a split, each image as evaluation views it."""
    assert dataset.image_shape is not None
    if dataset.image_shape[:2] == (how.size, how.size) and how.crop == 1:
        return stored(dataset, split, threads)
    return _once(
        dataset,
        (split, how),
        lambda: _decode(dataset, split, threads, lambda image: single(image, how)),
    )


Arrays = tuple[np.ndarray, np.ndarray]


def _once(dataset: Dataset, key: tuple, make: Callable[[], Arrays]) -> Arrays:
    if key not in dataset.memory:
        dataset.memory[key] = make()
    return dataset.memory[key]


def _read_or_decode(dataset: Dataset, split: str, threads: int) -> Arrays:
    """From the file beside the prepared data, which every trial of a study reads."""
    size = decoded_bytes(dataset.image_shape, dataset.sizes[split]) or 0
    if dataset.folder is None or size > _ON_DISK_BYTES:
        return _decode(dataset, split, threads, lambda image: image)
    path = dataset.folder / f"decoded-{split}-{inception_jax.__version__}.npz"
    with contextlib.suppress(Exception):  # whatever is wrong with it, it can be made again
        with path.open("rb") as opened, np.load(opened) as file:
            images, labels = file["images"], file["labels"]
        shape = (dataset.sizes[split], *(dataset.image_shape or ()))
        if (images.shape, images.dtype, labels.dtype) == (shape, np.uint8, np.int32):
            return images, labels
    found = _decode(dataset, split, threads, lambda image: image)
    with contextlib.suppress(errors.UserError):  # a folder that is read-only, a full disk
        files.write_whole(path, lambda file: np.savez(file, images=found[0], labels=found[1]))
    return found


def _decode(
    dataset: Dataset, split: str, threads: int, transform: Callable[[np.ndarray], np.ndarray]
) -> Arrays:
    source: Source = dataset.source(split)

    def read(index: int) -> tuple[np.ndarray, int]:
        example = source[index]
        return transform(example["image"]), example["label"]

    indices = range(len(source))
    per_image = (decoded_bytes(dataset.image_shape, 1) or 0) if threads > 1 else 0
    if per_image < _THREADED_BYTES:
        examples = [read(index) for index in indices]
    else:
        with ThreadPoolExecutor(threads) as pool:
            examples = list(pool.map(read, indices))
    images = np.stack([image for image, _ in examples])
    return images, np.array([label for _, label in examples], np.int32)

"""Splits that are small enough are decoded once and kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from inception_jax.data.dataset import IN_MEMORY_BYTES, Dataset, decoded_bytes
from inception_jax.data.sources import Source
from inception_jax.data.views import Rule, single

# Decoding a smaller image costs less than handing it to another thread.
_THREADED_BYTES = 2**15


def fits(dataset: Dataset, split: str) -> bool:
    """Whether the split's images have one shape and few enough pixels to be kept."""
    size = decoded_bytes(dataset.image_shape, dataset.sizes[split])
    return size is not None and size <= IN_MEMORY_BYTES


def stored(dataset: Dataset, split: str, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[N, H, W, C], int32[N]) of a split as it is stored."""
    return _once(dataset, (split,), lambda: _decode(dataset, split, threads, lambda image: image))


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

"""Grain's threads over a function of the position, and how hosts share a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inception_jax import errors


class Function:
    """A function of the position as a Grain source, from `start` on."""

    def __init__(self, function: Callable[[int], Any], start: int, count: int, name: str) -> None:
        self._function, self._start, self._count, self._name = function, start, count, name

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._function(self._start + int(index))

    def __repr__(self) -> str:
        return f"{self._name}[{self._start}:]"


def read(source: Function, threads: int, ahead: int) -> Any:
    """Grain's view of a source, read by `threads` threads, `ahead` elements ahead."""
    import grain

    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(ahead, threads) if threads else 0
    )
    return grain.MapDataset.source(source).to_iter_dataset(options)


def check_shard(batch_size: int, shard: tuple[int, int], key: str) -> None:
    """Says whether hosts can share a batch.

    Raises:
        UserError: not evenly; names the config's key.
    """
    index, number = shard
    if not 0 <= index < number:
        raise ValueError(f"shard {shard} is not (index, number) with 0 <= index < number")
    if batch_size % number:
        raise errors.UserError(
            f"{key} {batch_size} cannot be shared evenly by {number} hosts; make it a multiple"
        )

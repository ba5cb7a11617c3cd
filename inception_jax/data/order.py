"""Which example comes when, and its random numbers: functions of seed, epoch and example alone.

Nothing here depends on the number of hosts, of threads or on the image's resolution, so these can
change under a run, or between the arms of a study, and the examples and their crops stay the same.
"""

from __future__ import annotations

import functools

import numpy as np

# One constant for each use of randomness, so that no two share a stream.
_SHUFFLE, _UNIFORM, _EXAMPLE = 1, 2, 3


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """int64[count]: the permutation of the examples in an epoch."""
    order = np.random.default_rng([_SHUFFLE, seed, epoch]).permutation(count)
    order.flags.writeable = False
    return order


@functools.lru_cache(maxsize=4)
def epoch_uniforms(seed: int, epoch: int, count: int, width: int) -> np.ndarray:
    """f64[count, width] in [0, 1): `width` random numbers for each example in an epoch."""
    values = np.random.default_rng([_UNIFORM, seed, epoch]).random((count, width))
    values.flags.writeable = False
    return values


def example_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one example in one epoch, where the count of draws is not known ahead."""
    return np.random.default_rng([_EXAMPLE, seed, epoch, index])


def batch_indices(
    seed: int, step: int, count: int, batch_size: int, shard: tuple[int, int]
) -> tuple[int, np.ndarray]:
    """The epoch of a step and the examples of this shard's part of its batch.

    An epoch has count // batch_size steps; what is left of it is dropped.

    Args:
        seed: `config.seed`.
        step: from 0, over all epochs.
        count: examples in the split.
        batch_size: of all shards together; divisible by their number.
        shard: (index, number) of this shard.

    Returns:
        (epoch, int64[batch_size / number]).
    """
    epoch, within = divmod(step, count // batch_size)
    share = batch_size // shard[1]
    start = within * batch_size + shard[0] * share
    return epoch, epoch_order(seed, epoch, count)[start : start + share]

"""Fixed, stratified splits that depend on a seed of their own and never on `config.seed`."""

from __future__ import annotations

import numpy as np


def holdout(
    count: int, held: int, seed: int, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts `held` of `count` examples off, in the same share of every class.

    Args:
        count: examples there are.
        held: examples to hold out, at most `count`.
        seed: of this split alone.
        labels: int[count]; without them the split is not stratified.

    Returns:
        (kept, held), int64 indices in increasing order, together 0..count-1 without overlap.
    """
    rng = np.random.default_rng([0x5B117, seed])
    order = rng.permutation(count)
    if labels is not None:
        order = _interleave_classes(order, labels)
    return np.sort(order[held:]), np.sort(order[:held])


def _interleave_classes(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Reorders so that every prefix has each class in its share, within one example."""
    by_order = labels[order]
    position = np.empty(len(order), np.float64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(by_order == label)
        position[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return order[np.argsort(position, kind="stable")]

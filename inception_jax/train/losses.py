"""Losses and ranks, one number an example."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

TOP = 5  # of top-5 accuracy


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Softmax cross-entropy against smoothed labels (paper, section 7).

    The target is (1 - ε) of the true class plus ε / K of every class, K the number of classes.

    Args:
        logits: [N, K].
        labels: int[N].
        smoothing: ε; 0.1 in the paper.

    Returns:
        [N], nats.
    """
    classes = logits.shape[-1]
    targets = optax.smooth_labels(jax.nn.one_hot(labels, classes, dtype=logits.dtype), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


def with_auxiliary(
    logits: jax.Array,
    auxiliary: Sequence[jax.Array],
    labels: jax.Array,
    *,
    smoothing: float,
    weight: float,
) -> jax.Array:
    """The training loss: the main head's plus `weight` times each auxiliary head's.

    Args:
        logits: [N, K] of the main head.
        auxiliary: logits [N, K] of the other heads.
        labels: int[N].
        smoothing: of the labels of all heads.
        weight: 0.4 for Inception-v3, 0.3 for GoogLeNet.

    Returns:
        [N].
    """
    total = cross_entropy(logits, labels, smoothing)
    for head in auxiliary:
        total = total + weight * cross_entropy(head, labels, smoothing)
    return total


def rank(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the true one; among equals the lower index is first.

    An example with a NaN or infinite logit ranks behind all classes and beyond `TOP`, so that it
    never counts as right, also where there are fewer classes than that.

    Args:
        logits: [N, K].
        labels: int[N].

    Returns:
        int32[N], 0 where the prediction is right.
    """
    classes = logits.shape[-1]
    index = jnp.arange(classes, dtype=labels.dtype)[None, :]
    label = labels[:, None]
    true = jnp.take_along_axis(logits, label, axis=-1)
    before = (logits > true) | ((logits == true) & (index < label))
    finite = jnp.isfinite(logits).all(axis=-1)
    return jnp.where(finite, before.sum(axis=-1, dtype=jnp.int32), max(classes, TOP))

"""Loss and rank against NumPy in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from inception_jax.train import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(9, 5)).astype(np.float32) * 3
LABELS = RNG.integers(0, 5, 9).astype(np.int32)


def smoothed(logits: np.ndarray, epsilon: float) -> np.ndarray:
    """(1 - ε) H(q, p) + ε H(u, p) of the paper's section 7."""
    logp = log_softmax(logits.astype(np.float64), axis=-1)
    return -(1 - epsilon) * logp[np.arange(9), LABELS] - epsilon * logp.mean(axis=-1)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_label_smoothing_is_the_papers_mixture(epsilon):
    ours = losses.cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS), epsilon)
    np.testing.assert_allclose(ours, smoothed(LOGITS, epsilon), rtol=1e-5)


def test_a_perfect_guess_costs_the_entropy_of_the_smoothed_label():
    target = np.full(1000, 1e-4) + 0.9 * (np.arange(1000) == 3)  # 0.9001 and 0.0001, section 7
    ours = losses.cross_entropy(jnp.log(jnp.asarray(target))[None], jnp.asarray([3]), 0.1)
    np.testing.assert_allclose(ours[0], -(target * np.log(target)).sum(), rtol=1e-5)


def test_every_auxiliary_head_adds_its_weighted_smoothed_loss():
    heads = [RNG.normal(size=(9, 5)).astype(np.float32) for _ in range(2)]
    ours = losses.with_auxiliary(
        jnp.asarray(LOGITS),
        [jnp.asarray(head) for head in heads],
        jnp.asarray(LABELS),
        smoothing=0.1,
        weight=0.3,
    )
    wanted = smoothed(LOGITS, 0.1) + 0.3 * sum(smoothed(head, 0.1) for head in heads)
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)


def test_rank_is_the_place_in_a_stable_sort():
    logits = RNG.integers(0, 3, (50, 6)).astype(np.float32)  # many ties
    labels = RNG.integers(0, 6, 50).astype(np.int32)
    order = np.argsort(-logits, axis=-1, kind="stable")
    wanted = (order == labels[:, None]).argmax(axis=-1)
    np.testing.assert_array_equal(losses.rank(jnp.asarray(logits), jnp.asarray(labels)), wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_logit_never_counts_as_right(bad):
    logits = np.zeros((1, 6), np.float32)
    logits[0, 2] = bad
    assert losses.rank(jnp.asarray(logits), jnp.asarray([2]))[0] == 6

"""Factorized chains against direct NumPy convolutions, and the arithmetic of section 3."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import errors, models, ops
from inception_jax.models import factorization


def numpy_conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """A VALID convolution by loops, float64."""
    n = kernel.shape[0]
    rows = range(0, x.shape[1] - n + 1, stride)
    columns = range(0, x.shape[2] - n + 1, stride)
    return np.stack(
        [
            np.stack([np.tensordot(x[:, i : i + n, j : j + n], kernel, 3) for j in columns], axis=1)
            for i in rows
        ],
        axis=1,
    )


def composed(kernels: list[np.ndarray]) -> np.ndarray:
    """The one kernel that a chain of linear convolutions amounts to, by full convolution."""
    total = kernels[0]
    for nxt in kernels[1:]:
        (h, w, a, _), (p, q, _, c) = total.shape, nxt.shape
        out = np.zeros((h + p - 1, w + q - 1, a, c))
        for i in range(p):
            for j in range(q):
                out[i : i + h, j : j + w] += total @ nxt[i, j]
        total = out
    return total


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("tall_first", [False, True])
@pytest.mark.parametrize("strategy", list(factorization.STRATEGIES))
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_linear_chain_is_the_composed_convolution(strategy, kernel, stride, tall_first):
    rng = np.random.default_rng(kernel)
    chain = factorization.factorize(
        strategy, kernel, 4, mid=3, stride=stride, tall_first=tall_first
    )
    x = rng.normal(size=(2, 13, 12, 2))
    kernels, y, channels = [], jnp.asarray(x, jnp.float32), 2
    for factor in chain:
        kernels.append(rng.normal(size=(*factor.kernel, channels, factor.filters)))
        y = ops.conv(
            y,
            jnp.asarray(kernels[-1], jnp.float32),
            strides=factor.strides,
            padding=[(0, 0), (0, 0)],
        )
        channels = factor.filters
    whole = composed(kernels)
    assert whole.shape[:2] == (kernel, kernel)
    expected = numpy_conv(x, whole, stride)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("strategy", "kernel", "share"),
    [
        ("stacked_3x3", 5, 18 / 25),  # K2
        ("asymmetric", 3, 6 / 9),  # K3
        ("stacked_2x2", 3, 8 / 9),  # K4
        ("asymmetric", 7, 14 / 49),  # K5
        ("asymmetric", 5, 2 / 5),
        ("direct", 5, 1),
    ],
)
def test_cost_share_with_equal_filters(strategy, kernel, share):
    chain = factorization.factorize(strategy, kernel, 8, mid=8)
    assert sum(f.kernel[0] * f.kernel[1] for f in chain) / kernel**2 == pytest.approx(share)


def test_geometric_mid_widens_by_the_root():
    assert factorization.geometric_mid(64, 96) == 78
    assert factorization.geometric_mid(1, 1) == 1


def test_even_kernel_cannot_be_3x3s():
    with pytest.raises(errors.UserError, match="odd kernel"):
        factorization.factorize("stacked_3x3", 4, 8, mid=8)


def test_unknown_strategy_names_the_nearest():
    with pytest.raises(errors.UsageError, match="did you mean 'stacked_3x3'"):
        factorization.factorize("stacked3x3", 5, 8, mid=8)


def test_a_strategy_of_ones_own_builds_anywhere(monkeypatch):
    monkeypatch.setattr(factorization, "STRATEGIES", dict(factorization.STRATEGIES))

    def pairs(n: int) -> factorization.Kernels:
        return ((1, 3), (3, 1)) * ((n - 1) // 2)

    models.register("pairs", pairs)
    models.register("pairs", pairs)  # a cell that is run twice
    chain = factorization.factorize("pairs", 5, 8, mid=4)
    assert [f.kernel for f in chain] == [(1, 3), (3, 1), (1, 3), (3, 1)]


@pytest.mark.parametrize(
    ("name", "kernels", "message"),
    [
        ("direct", lambda n: ((n, n),), "already"),
        ("my own", lambda n: ((n, n),), "identifier"),
        ("short", lambda n: ((1, n), (1, n)), r"covers 1x5 in place of 3x3"),
    ],
)
def test_what_is_no_strategy_is_refused(monkeypatch, name, kernels, message):
    monkeypatch.setattr(factorization, "STRATEGIES", dict(factorization.STRATEGIES))
    with pytest.raises(errors.UsageError, match=message):
        models.register(name, kernels)

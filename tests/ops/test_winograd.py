"""Winograd's matrices: in float64 they give the plain sum of taps."""

from __future__ import annotations

import numpy as np
import pytest

from inception_jax.ops import winograd


@pytest.mark.parametrize(
    ("outputs", "taps"), [(1, 1), (2, 3), (3, 3), (4, 3), (4, 5), (2, 7), (4, 7)]
)
def test_matrices_give_the_sum_of_taps(outputs, taps):
    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=outputs + taps - 1), rng.normal(size=taps)
    a, b, g = winograd.transforms(outputs, taps)
    assert len(a) == len(b) == len(g) == outputs + taps - 1  # so many products, no more
    np.testing.assert_allclose(
        a.T @ ((g @ weights) * (b @ inputs)), np.correlate(inputs, weights, "valid"), atol=1e-11
    )


def test_the_published_matrices_of_two_outputs_and_three_taps():
    """Lavin and Gray 2016, equation 7, up to the sign and scale of each product."""
    a, b, g = winograd.transforms(2, 3)
    published = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]
    weights = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    outputs = [[1, 0], [1, 1], [1, -1], [0, -1]]
    for found, expected in ((b, published), (g, weights), (a, outputs)):
        for row, known in zip(found, np.asarray(expected, float), strict=True):
            scale = known[np.argmax(np.abs(known))] / row[np.argmax(np.abs(known))]
            np.testing.assert_allclose(row * scale, known, atol=1e-12)

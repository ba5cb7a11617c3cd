"""Colours on the device against the standard library and NumPy."""

from __future__ import annotations

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.data.colour import ORDERS
from inception_jax.train import colour

RNG = np.random.default_rng(0)


def test_hue_and_saturation_against_colorsys():
    image = RNG.random((4, 5, 3)).astype(np.float32)
    turned = np.asarray(colour.adjust_hue(jnp.asarray(image), jnp.float32(0.15)))
    richer = np.asarray(colour.adjust_saturation(jnp.asarray(image), jnp.float32(1.4)))
    for row, column in np.ndindex(4, 5):
        h, s, v = colorsys.rgb_to_hsv(*map(float, image[row, column]))
        wanted = colorsys.hsv_to_rgb((h + 0.15) % 1, s, v)
        np.testing.assert_allclose(turned[row, column], wanted, atol=1e-5)
        wanted = colorsys.hsv_to_rgb(h, min(1.4 * s, 1), v)
        np.testing.assert_allclose(richer[row, column], wanted, atol=1e-5)


def test_grey_pixels_keep_their_colour():
    image = jnp.full((2, 2, 3), 0.4)
    np.testing.assert_allclose(colour.adjust_hue(image, jnp.float32(0.2)), image, rtol=1e-6)
    np.testing.assert_allclose(colour.adjust_saturation(image, jnp.float32(1.5)), image, rtol=1e-6)


def test_contrast_keeps_the_mean_and_scales_the_spread():
    image = RNG.random((6, 6, 3)).astype(np.float32)
    changed = np.asarray(colour.adjust_contrast(jnp.asarray(image), jnp.float32(0.5)))
    np.testing.assert_allclose(changed.mean(axis=(0, 1)), image.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(changed.std(axis=(0, 1)), 0.5 * image.std(axis=(0, 1)), rtol=1e-4)


@pytest.mark.parametrize("name", ["fast", "trainer", "slim"])
def test_each_example_has_its_own_order_and_amounts(name):
    """Against the four adjustments one image at a time, in the order that was drawn."""
    orders = ORDERS[name]
    images = RNG.random((8, 3, 4, 3)).astype(np.float32) * 2 - 1
    amounts = RNG.uniform([-0.1, 0.5, -0.2, 0.5], [0.1, 1.5, 0.2, 1.5], (8, 4))
    draws = np.column_stack([np.arange(8) % len(orders), amounts]).astype(np.float32)
    found = jax.jit(lambda i, d: colour.distort(i, d, orders))(images, draws)
    for image, draw, result in zip(images, draws, found, strict=True):
        wanted = jnp.asarray((image + 1) / 2)
        for letter in orders[int(draw[0])]:
            step = colour._STEPS[letter]
            wanted = step(wanted, jnp.float32(draw[1 + "BSHC".index(letter)]))
        np.testing.assert_allclose(result, np.clip(wanted, 0, 1) * 2 - 1, atol=2e-5)


def test_grey_images_change_brightness_and_contrast_alone():
    images = jnp.asarray(RNG.random((1, 4, 4, 1)).astype(np.float32))
    draws = jnp.asarray([[0.0, 0.05, 1.5, 0.2, 1.0]])
    found = colour.distort(images * 2 - 1, draws, ORDERS["slim"])
    np.testing.assert_allclose((found + 1) / 2, jnp.clip(images + 0.05, 0, 1), atol=1e-6)


def test_no_draws_change_nothing():
    images = jnp.ones((1, 2, 2, 3))
    assert colour.distort(images, None, ()) is images


def test_the_orders_are_the_published_ones():
    """research/inception takes turns with two, slim draws one of four, or of two in fast mode."""
    brightness, saturation, hue, contrast = "BSHC"
    assert set(ORDERS["trainer"]) == {
        brightness + saturation + hue + contrast,
        brightness + contrast + saturation + hue,
    }
    assert set(ORDERS["slim"]) == {
        brightness + saturation + hue + contrast,
        saturation + brightness + contrast + hue,
        contrast + hue + brightness + saturation,
        hue + saturation + contrast + brightness,
    }
    assert set(ORDERS["fast"]) == {brightness + saturation, saturation + brightness}

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from inception_jax.data import transforms


def noise(height, width, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def test_central_box_is_the_papers_crop():
    rows, columns = transforms.central_box(400, 300, 0.875)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (25, 375, 19, 281)
    rows, _ = transforms.central_box(300, 300, 0.9967)
    assert rows.stop - rows.start == 299


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_shrinks_with_antialias(channels):
    checker = np.indices((32, 32)).sum(axis=0) % 2 * 255
    image = np.repeat(checker[..., None], channels, axis=2).astype(np.uint8)
    small = transforms.resize(image, 8)
    assert small.shape == (8, 8, channels)
    assert np.abs(small.astype(int) - 127).max() < 8  # aliasing would keep 0 or 255


def test_shift_flip_against_scipy():
    images = np.stack([noise(16, 24, seed=s) for s in range(20)])
    uniforms = np.random.default_rng(1).random((20, 3))
    moved = transforms.shift_flip(images, uniforms, 1.0)
    assert moved.shape == images.shape
    for image, (u, v, w), ours in zip(images, uniforms, moved, strict=True):
        by = (-np.round((2 * u - 1) * 2), -np.round((2 * v - 1) * 3))
        theirs = ndimage.shift(image[..., 0], by, order=0, mode="mirror")
        np.testing.assert_array_equal(ours[..., 0], theirs[:, ::-1] if w < 0.5 else theirs)


def test_shift_is_the_same_share_at_every_resolution():
    """A smooth image, shifted at 64 px and at 16 px with the same numbers, shows the same part."""
    fine = np.indices((64, 64)).sum(axis=0)[None, ..., None].astype(np.uint8) * 2
    coarse = fine.reshape(1, 16, 4, 16, 4, 1).mean(axis=(2, 4)).round().astype(np.uint8)
    uniforms = np.array([[0.0, 1.0, 0.9]])
    large = transforms.shift_flip(fine, uniforms, 1.0)
    small = transforms.shift_flip(coarse, uniforms, 1.0)
    pooled = large.reshape(1, 16, 4, 16, 4, 1).mean(axis=(2, 4))
    assert np.abs(pooled - small)[:, 3:-3, 3:-3].max() < 1


def test_crop_of_a_shift_is_the_centre():
    images = noise(16, 16)[None]
    uniforms = np.array([[0.3, 0.8, 0.2]])
    whole = transforms.shift_flip(images, uniforms, 1.0)
    np.testing.assert_array_equal(
        transforms.shift_flip(images, uniforms, 0.5), whole[:, 4:12, 4:12]
    )


def test_flip_mirrors_half_and_leaves_its_input():
    images = np.stack([noise(4, 4, seed=s) for s in range(2)])
    before = images.copy()
    flipped = transforms.flip(images, np.array([[0, 0, 0.2], [0, 0, 0.7]]))
    np.testing.assert_array_equal(flipped[0], images[0, :, ::-1])
    np.testing.assert_array_equal(flipped[1], images[1])
    np.testing.assert_array_equal(images, before)


def test_resize_box_takes_that_part():
    image = noise(32, 32, 3)
    expected = np.asarray(
        Image.fromarray(image[8:24, 4:20]).resize((8, 8), Image.Resampling.BILINEAR)
    )
    ours = transforms.resize(image, 8, (4, 8, 20, 24))
    # at the border the filter sees the image around the box
    np.testing.assert_allclose(ours[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1)

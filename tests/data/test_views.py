"""The views of an image: GoogLeNet's arithmetic, and where each of them lies."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inception_jax import data, errors
from inception_jax.data import views
from inception_jax.data.views import Rule


def ramp(height, width):
    """Red says the column and green the row, as shares of 255."""
    rows, columns = np.mgrid[:height, :width]
    pixels = [255 * columns / (width - 1), 255 * rows / (height - 1), np.zeros((height, width))]
    return np.stack(pixels, axis=-1).round().astype(np.uint8)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_the_scales_of_googlenet_and_in_proportion():
    assert views.scales(224) == (256, 288, 320, 352)
    assert views.scales(299) == (342, 384, 427, 470)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (300, 300)])
def test_144_views_half_of_them_mirrored(height, width):
    found = views.crops(noise(height, width), Rule(32), 144)
    assert found.shape == (144, 32, 32, 3)
    np.testing.assert_array_equal(found[72:], found[:72, :, ::-1])
    assert len(np.unique(found.reshape(144, -1), axis=0)) == (48 if height == width else 144)


def test_the_views_of_a_square_stand_for_three_each():
    image = noise(64, 64)
    all_of_them = views.crops(image, Rule(24), 144).astype(np.float64)
    distinct = views.crops(image, Rule(24), 144, square=True).astype(np.float64)
    assert len(distinct) == views.distinct(144, square=True) == 48
    np.testing.assert_allclose(all_of_them.mean(axis=0), distinct.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("upright", [False, True])
def test_each_crop_lies_where_the_scheme_says(upright):
    """Means of a ramp tell the centre of a view; those of 12 are of the centre square."""
    shape = (224, 448) if not upright else (448, 224)
    found = views.crops(ramp(*shape), Rule(224), 12)[:6].mean(axis=(1, 2)) / 255
    along, across = (0, 1) if not upright else (1, 0)
    low, high = 112 / 256, 144 / 256  # of the side of the square
    wanted_across = [low, low, high, high, 0.5, 0.5]
    wanted_along = [low, high, low, high, 0.5, 0.5]
    if upright:
        wanted_across, wanted_along = wanted_along, wanted_across
    np.testing.assert_allclose(found[:, across], wanted_across, atol=4e-3)
    # the centre square is the middle half of the long side
    np.testing.assert_allclose(found[:, along], 0.25 + np.array(wanted_along) / 2, atol=4e-3)


def test_144_takes_both_ends_of_a_wide_image():
    found = views.crops(ramp(100, 300), Rule(56), 144)[..., 0].mean(axis=(1, 2)) / 255
    whole = found[:72].reshape(4, 3, 6)[:, :, 5]  # the whole square of each scale
    np.testing.assert_allclose(whole, np.tile([1 / 6, 1 / 2, 5 / 6], (4, 1)), atol=1e-2)


def test_a_view_of_the_whole_image_is_the_image_itself():
    image = noise(8, 8)
    np.testing.assert_array_equal(views.single(image, Rule(8)), image)


def test_the_short_side_keeps_the_aspect_and_the_crop_does_not():
    """A disc stays round by torchvision's rule and becomes an ellipse by the paper's code."""
    rows, columns = np.mgrid[:200, :400]
    disc = ((rows - 100) ** 2 + (columns - 200) ** 2 < 80**2) * 255
    image = np.repeat(disc[..., None], 3, axis=2).astype(np.uint8)
    for resize, ratio in (("short_side", 1.0), ("crop", 2.0)):
        seen = views.single(image, Rule(112, 0.875, resize))[..., 0] > 127
        assert seen.any(axis=1).sum() / seen.any(axis=0).sum() == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_short_side_is_pils_own_resizing_and_cutting(interpolation):
    """As torchvision's Resize(342) and CenterCrop(299) do it on a PIL image."""
    image = noise(375, 500)
    method = Image.Resampling[interpolation.upper()]
    resized = np.asarray(Image.fromarray(image).resize((456, 342), method))
    found = views.single(image, Rule(299, 0.875, "short_side", interpolation))
    np.testing.assert_array_equal(found, resized[21:320, 78:377])


@pytest.mark.parametrize("crops", [12, 144])
def test_batches_hold_every_example_once_with_its_views(make_config, crops):
    config = make_config(data__eval_batch_size=50)
    dataset = data.load(config.data)
    batches = list(data.eval_batches(dataset, config, "test", crops=crops))
    number = data.crops_of(dataset, crops)
    assert number == min(crops, 48)
    assert {batch["image"].shape for batch in batches} == {(50, number, 8, 8, 1)}
    assert sum(batch["mask"].sum() for batch in batches) == dataset.sizes["test"]
    labels = np.concatenate([batch["label"][batch["mask"]] for batch in batches])
    np.testing.assert_array_equal(labels, dataset.source("test").labels())
    image = dataset.source("test")[51]["image"]
    wanted = views.crops(image, Rule(8), crops, square=True)
    np.testing.assert_array_equal(batches[1]["image"][1], wanted)


@pytest.mark.parametrize("key", ["eval_resize", "eval_interpolation"])
def test_a_choice_that_does_not_exist_is_one_line(make_config, key):
    config = make_config(**{f"data__{key}": "shrot_side"})
    with pytest.raises(errors.UsageError, match=f"data.{key}"):
        next(data.eval_batches(data.load(config.data), config, "test"))

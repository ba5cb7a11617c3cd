from __future__ import annotations

import numpy as np
import pytest

from inception_jax import config as config_lib
from inception_jax.data import colour, distort


@pytest.mark.parametrize("aspect", [0.5, 1.0, 500 / 375])
def test_boxes_keep_the_published_limits(aspect):
    rng = np.random.default_rng(0)
    boxes = np.array([distort.distorted_box(aspect, rng) for _ in range(2000)])
    top, left, bottom, right = boxes.T
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    area = (bottom - top) * (right - left)
    ratio = (right - left) * aspect / (bottom - top)
    assert area.min() >= 0.1 - 1e-9  # the whole image is the object, a tenth of it is covered
    assert area.max() > 0.6 * min(aspect / 0.75, 4 / 3 / aspect, 1)
    assert ratio.min() >= 0.75 - 1e-9
    assert ratio.max() <= 4 / 3 + 1e-9
    assert ratio.min() < 0.8
    assert ratio.max() > 1.27


def data(**changed):
    values = {"image_size": 24, "colour": "none"} | changed
    return config_lib.apply(
        config_lib.default(), {f"data.{name}": value for name, value in values.items()}
    ).data


@pytest.mark.parametrize("covered", [0.0, 0.1, 0.5])
def test_the_limits_can_be_set(covered):
    rng = np.random.default_rng(0)
    boxes = [distort.distorted_box(1.0, rng, (0.2, 0.6), (0.9, 1.1), covered) for _ in range(500)]
    top, left, bottom, right = np.array(boxes).T
    whole = (bottom - top == 1) & (right - left == 1)  # a hundred misses
    area = ((bottom - top) * (right - left))[~whole]
    assert area.min() >= max(0.2, covered) - 1e-9
    assert area.max() <= 0.6 + 1e-9
    assert area.max() > 0.55


def test_the_same_generator_takes_the_same_part_at_every_resolution():
    ramp = np.indices((96, 96)).sum(axis=0)[..., None] * (255 / 190)
    fine = ramp.astype(np.uint8)
    coarse = ramp.reshape(24, 4, 24, 4, 1).mean(axis=(1, 3)).astype(np.uint8)
    for seed in range(20):
        large, small = (
            distort.distort(image, 1, "x", np.random.default_rng(seed), data())["image"].astype(int)
            for image in (fine, coarse)
        )
        assert np.abs(large - small).mean() < 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colours", ["none", "fast", "trainer", "slim"])
def test_distort_gives_what_was_asked_for(channels, colours):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, channels), np.uint8)
    rng = np.random.default_rng(1)
    result = distort.distort(image, channels, "x", rng, data(image_size=16, colour=colours))
    assert result["image"].shape == (16, 16, channels)
    assert result["image"].dtype == np.uint8
    assert ("colour" in result) == (colours != "none")


def test_colours_are_drawn_within_the_published_limits():
    rng = np.random.default_rng(0)
    draws = np.array([colour.draw(rng, colour.ORDERS["slim"]) for _ in range(2000)])
    low, high = draws.min(axis=0), draws.max(axis=0)
    np.testing.assert_allclose(low, [0, -32 / 255, 0.5, -0.2, 0.5], atol=0.005)
    np.testing.assert_allclose(high, [3, 32 / 255, 1.5, 0.2, 1.5], atol=0.005)


def test_crop_mirror_and_colours_can_each_be_off():
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    off = {"box_area": (1.0, 1.0), "mirror": False, "colour": "none"}

    def distorted(changed, count=12):
        return [
            distort.distort(image, 3, "x", np.random.default_rng(seed), data(**changed))
            for seed in range(count)
        ]

    for result in distorted(off):
        np.testing.assert_array_equal(result["image"], image)
        assert set(result) == {"image"}
    mirrored = distorted(off | {"mirror": True})
    assert {bool((r["image"] == image[:, ::-1]).all()) for r in mirrored} == {False, True}
    assert all((r["image"] != image).any() for r in distorted(off | {"box_area": (0.05, 0.5)}))
    assert all("colour" in r for r in distorted(off | {"colour": "slim"}))

from __future__ import annotations

import itertools

import numpy as np
import pytest

from inception_jax import data
from inception_jax.data.builders import photos

SHAPES = {name: photos.read_picture(name, False).shape[:2] for name in photos.PICTURES}


@pytest.mark.parametrize("patch", [8, 32, 96, 146])
def test_parts_share_no_pixel_and_hold_a_patch(patch):
    for height, width in SHAPES.values():
        parts = photos.parts(height, width, patch)
        painted = np.zeros((height, width), int)
        for rows, columns in parts.values():
            painted[rows, columns] += 1
            assert rows.stop - rows.start >= patch
            assert columns.stop - columns.start >= patch
        assert painted.max() == 1


def test_generated_patches_never_reach_into_another_part(monkeypatch):
    """Runs the generator on pictures whose pixels say where they are."""
    side, patch = 200, 32
    where = np.random.default_rng(0).permutation(side * side).reshape(side, side, 1)
    monkeypatch.setattr(photos, "read_picture", lambda name, in_color: where)
    monkeypatch.setattr(photos, "standardise", lambda patches: patches)
    monkeypatch.setattr(photos, "encode_png", lambda image: image)
    pixels = {}
    for split in ("train", "validation", "test"):
        drawn = list(photos._generate(split, ("brick",), patch, False, 50))
        assert all(np.shape(image) == (patch, patch, 1) for image, _ in drawn)
        pixels[split] = {int(p) for image, _ in drawn for p in np.ravel(image)}
    for one, other in itertools.combinations(pixels.values(), 2):
        assert not one & other


def test_patches_are_standardised(make_config):
    config = make_config(
        data__name="photos",
        data__options__train_per_class=20,
        data__options__test_per_class=20,
    )
    dataset = data.load(config.data)
    assert dict(dataset.sizes) == {"train": 320, "validation": 1024, "test": 320}
    assert dataset.image_shape == (32, 32, 1)
    source = dataset.source("train")
    images = np.stack([source[i]["image"] for i in range(len(source))]).astype(float)
    np.testing.assert_array_equal(np.bincount(source.labels()), [20] * 16)
    # clipping at three standard deviations moves both a little
    assert abs(np.median(images.mean(axis=(1, 2, 3))) - 127.5) < 0.5
    assert abs(np.median(images.std(axis=(1, 2, 3))) - 42.5) < 1


def test_flat_places_are_not_drawn():
    part = np.zeros((64, 64, 1), np.uint8)
    part[40:, 40:] = np.random.default_rng(0).integers(0, 255, (24, 24, 1))
    corners = photos.positions(part, 8, 200, np.random.default_rng(1))
    assert all(part[r : r + 8, c : c + 8].std() >= photos.FLAT for r, c in corners)
    assert len({tuple(c) for c in corners}) > 50


def test_box_mean_is_the_mean_of_each_window():
    values = np.random.default_rng(0).random((9, 7))
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3)).mean(axis=(2, 3))
    np.testing.assert_allclose(photos._box_mean(values, 3), windows, rtol=1e-12)


def test_colour_uses_the_colour_pictures(make_config):
    config = make_config(
        data__name="photos",
        **{f"data__options__{s}_per_class": 2 for s in ("train", "validation", "test")},
        data__options__color="rgb",
    )
    dataset = data.load(config.data)
    assert dataset.num_classes == 9
    assert dataset.image_shape == (32, 32, 3)
    image = dataset.source("test")[0]["image"].astype(float)
    assert np.abs(image.mean(axis=(0, 1)) - 127.5).max() < 5
    assert np.ptp(image, axis=2).max() > 0


def test_every_picture_says_its_licence():
    assert all(picture[3] for picture in photos.PICTURES.values())
    assert not {"moon", "page", "motorcycle"} & set(photos.PICTURES)

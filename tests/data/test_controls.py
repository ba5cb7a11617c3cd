from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inception_jax.data.builders import controls


def read(options, split):
    examples = list(controls.bundle(options).generate(split))
    images = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png, _ in examples])
    return images, np.array([label for _, label in examples])


@pytest.mark.parametrize("effect", [0.0, 0.05, 0.25])
@pytest.mark.parametrize("signal", ["local", "pair"])
def test_the_planted_effect_is_exact_for_any_classifier(signal, effect):
    options = {"signal": signal, "effect": effect, "test": 240}
    images, labels = read(options, "test")
    classes = labels.max() + 1
    # the best a classifier can do: for each distinct image, the label it has most often
    best = 0
    for image in np.unique(images, axis=0):
        same = (images == image).all(axis=(1, 2))
        best += np.bincount(labels[same]).max()
    assert 1 - best / 240 == pytest.approx(controls.planted_effect(options), abs=1e-12)
    assert controls.planted_effect(options) == pytest.approx(effect, abs=(classes - 1) / 240)
    np.testing.assert_array_equal(np.bincount(labels), [240 // classes] * classes)


def test_an_effect_changes_neither_training_nor_the_other_test_images():
    plain, planted = {"train": 64, "test": 120}, {"train": 64, "test": 120, "effect": 0.1}
    np.testing.assert_array_equal(read(plain, "train")[0], read(planted, "train")[0])
    groups = round(controls.planted_effect(planted) * 120 / 3)
    same = (read(plain, "test")[0] == read(planted, "test")[0]).all(axis=(1, 2))
    assert not same[: 4 * groups].any()
    assert same[4 * groups :].all()


def test_order_reorders_and_nothing_else():
    one, other = (read({"train": 64, "test": 40, "order": o}, "train") for o in (0, 1))
    assert not np.array_equal(one[0], other[0])

    def contents(data):
        return sorted((i.tobytes(), int(c)) for i, c in zip(*data, strict=True))

    assert contents(one) == contents(other)


def test_a_pairs_class_is_not_in_either_mark():
    """What a network that sees one mark at a time can sum is the same for both classes."""
    options = {"signal": "pair", "noise": 0.0, "train": 400, "test": 40, "distance": 8}
    images, labels = read(options, "train")
    signal = images.astype(float) - 128
    bright, dark = (signal > 50).sum(axis=(1, 2)) // 4, (signal < -50).sum(axis=(1, 2)) // 4
    np.testing.assert_array_equal(bright + dark, 2)
    np.testing.assert_array_equal(bright == 1, labels == 0)
    # a linear readout of the counts is at chance: "alike" is as often two bright as two dark
    assert abs((bright[labels == 1] == 2).mean() - 0.5) < 0.1

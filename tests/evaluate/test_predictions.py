"""Scores, calibration and files of predictions, against scikit-learn and by hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, top_k_accuracy_score

from inception_jax import errors
from inception_jax.evaluate.calibration import expected_calibration_error
from inception_jax.evaluate.predictions import Predictions, together

CLASSES = 7


def make(count=400, seed=0, **more):
    rng = np.random.default_rng(seed)
    label = np.random.default_rng(99).integers(0, CLASSES, count).astype(np.int32)
    probability = rng.dirichlet(np.ones(CLASSES), count).astype(np.float32)
    return Predictions(label, probability, **more)


def test_scores_are_scikit_learns():
    found = make()
    summary = found.summary()
    for k in (1, 5):
        wanted = top_k_accuracy_score(
            found.label, found.probability, k=k, labels=np.arange(CLASSES)
        )
        assert summary[f"top{k}"] == wanted
    exact = found.probability.astype(np.float64)
    wanted = log_loss(found.label, exact / exact.sum(axis=1, keepdims=True))
    assert summary["loss"] == pytest.approx(wanted, rel=1e-5)


def test_calibration_error_is_scikit_learns_curve_weighted_by_its_bins():
    rng = np.random.default_rng(1)
    confidence = rng.beta(4, 2, 3000)
    correct = rng.random(3000) < confidence**2
    right, mean = calibration_curve(correct, confidence, n_bins=15)
    size = np.histogram(confidence, bins=15, range=(0, 1))[0]
    wanted = (np.abs(right - mean) * size[size > 0]).sum() / 3000
    assert expected_calibration_error(confidence, correct) == pytest.approx(wanted, rel=1e-9)


def test_calibration_error_by_hand():
    """Two bins: 0.6, 0.8, 1.0 with two right, and 0.5 (its bin's upper edge) right."""
    confidence = np.array([0.6, 0.8, 1.0, 0.5])
    correct = np.array([True, False, True, True])
    wanted = (abs(2.4 - 2) + abs(0.5 - 1)) / 4
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(wanted)


def test_a_calibrated_network_has_a_small_error_and_a_boastful_one_a_large():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.3, 0.9, 20_000)
    correct = rng.random(20_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.015
    assert expected_calibration_error(confidence + 0.1, correct) == pytest.approx(0.1, abs=0.015)


def test_ties_and_nan_are_never_luck():
    probability = np.full((3, 4), 0.25, np.float32)
    probability[2] = np.nan
    scores = Predictions(np.array([0, 3, 0], np.int32), probability).scores()
    np.testing.assert_array_equal(scores.rank, [0, 3, 4])
    assert np.isfinite(scores.loss).all()


def test_a_class_has_its_own_line():
    found = make()
    rows = found.per_class([f"class {k}" for k in range(CLASSES)])
    prediction = found.probability.argmax(axis=1)
    for k, row in enumerate(rows):
        of_class = found.label == k
        assert row["name"] == f"class {k}"
        assert row["examples"] == of_class.sum()
        assert row["top1"] == pytest.approx((prediction[of_class] == k).mean())
        assert row["predicted"] == (prediction == k).sum()
    empty = Predictions(np.zeros(5, np.int32), found.probability[:5]).per_class(["only"])
    assert (empty[1]["top1"], empty[1]["name"]) == (None, "")


def test_the_blacklist_leaves_examples_out_of_the_kept_scores():
    excluded = np.arange(400) % 3 == 0
    found = make(excluded=excluded)
    kept = Predictions(found.label[~excluded], found.probability[~excluded]).summary()
    summary = found.summary()
    assert summary["examples"] == 400
    assert summary["kept_examples"] == kept["examples"] == 266
    assert summary["kept_top1"] == kept["top1"]
    for name in ("top1", "top5", "loss"):
        assert summary[f"kept_{name}_difference"] == kept[name] - summary[name]


def test_an_ensemble_is_the_mean_of_probabilities():
    one, other = make(seed=0), make(seed=1)
    mean = (one.probability.astype(np.float64) + other.probability) / 2
    np.testing.assert_allclose(together([one, other]).probability, mean, rtol=1e-6)
    with pytest.raises(ValueError, match="other examples"):
        together([one, make(count=399)])


@pytest.mark.parametrize("top", [0, 2])
def test_predictions_come_back_from_npz(tmp_path, top):
    found = make()
    found.save(tmp_path / "p.npz", top)
    with np.load(tmp_path / "p.npz") as file:
        assert set(file) == {"id", "label", "rank", "classes", "probability"}
        assert file["probability"].shape == (400, top or CLASSES)
        np.testing.assert_array_equal(file["id"], np.arange(400))
        np.testing.assert_array_equal(file["classes"][:, 0], found.probability.argmax(axis=1))
        assert (np.diff(file["probability"], axis=1) <= 0).all()
        assert (file["rank"] == 0).mean() == found.summary()["top1"]


def test_predictions_come_back_from_csv(tmp_path):
    found = make(excluded=np.zeros(400, bool))
    found.save(tmp_path / "p.csv", 3)
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "id", "label", "rank", "class1", "class2", "class3",
        "probability1", "probability2", "probability3", "excluded",
    ]  # fmt: skip
    table = found.table(3)
    assert [int(row["class3"]) for row in rows] == table["classes"][:, 2].tolist()
    assert [np.float32(row["probability1"]) for row in rows] == list(table["probability"][:, 0])


def test_another_kind_of_file_is_wrong_usage(tmp_path):
    with pytest.raises(errors.UsageError, match=r"\.npz or \.csv"):
        make().save(tmp_path / "p.txt")

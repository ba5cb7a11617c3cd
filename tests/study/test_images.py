"""Image-level tests: a published example, exact enumeration, and how often they are wrong."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.stats import binom

from inception_jax.study import images, report, store, tables

RNG = np.random.default_rng


def pairs(both, only, other, neither):
    """(treatment, baseline) with these four counts."""
    counts = (both, only, other, neither)
    treatment = np.repeat([True, True, False, False], counts)
    return treatment, np.repeat([True, False, True, False], counts)


def test_mcnemar_on_a_published_table():
    """Bentur et al. 2009 in Fagerland et al. 2013 (BMC Med Res Methodol 13:91): 1, 1, 7, 12."""
    assert images.mcnemar(*pairs(1, 1, 7, 12)) == pytest.approx(0.0703, abs=5e-5)


@pytest.mark.parametrize(("only", "other"), [(0, 5), (3, 9), (10, 10), (40, 22)])
def test_mcnemar_is_the_two_sided_binomial(only, other):
    wanted = min(1.0, 2 * binom.cdf(min(only, other), only + other, 0.5))
    assert images.mcnemar(*pairs(30, only, other, 7)) == pytest.approx(wanted)
    assert images.mcnemar(*pairs(0, other, only, 0)) == pytest.approx(wanted)


def test_networks_that_agree_do_not_differ():
    assert images.mcnemar(*pairs(5, 0, 0, 5)) == 1.0


def test_other_images_are_an_error():
    with pytest.raises(ValueError, match="one shape"):
        images.mcnemar(np.zeros(3, bool), np.zeros(4, bool))
    with pytest.raises(ValueError, match="seeds, images"):
        images.compare(np.zeros((2, 0), bool), np.zeros((2, 0), bool))


def test_with_one_seed_two_level_is_the_bootstrap_over_images():
    treatment, baseline = pairs(300, 60, 40, 100)
    low, high = images.two_level(treatment[None], baseline[None])
    difference = treatment.astype(float) - baseline
    half = 1.96 * difference.std() / np.sqrt(len(difference))
    assert (low, high) == pytest.approx((0.04 - half, 0.04 + half), abs=0.004)


def simulate(rng, effect, seeds=8, count=200):
    """Arms whose networks share hard images; seeds and images both add noise."""
    hard = rng.normal(0, 1, count)
    own = rng.normal(0, 0.15, (2, seeds, 1)) + rng.normal(0, 0.7, (2, seeds, count))
    treatment = hard + own[0] + effect > -0.8
    return treatment, hard + own[1] > -0.8


@pytest.mark.slow
def test_the_two_level_interval_misses_no_more_often_than_it_says():
    rng = RNG(5)
    missed = 0
    for _ in range(300):
        low, high = images.two_level(*simulate(rng, 0.0), draws=400)
        missed += not low <= 0 <= high
    assert missed / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_an_effect_is_found():
    found = images.compare(*simulate(RNG(1), 0.5))
    assert 0 < found.low < found.mean < found.high
    assert found.only_treatment - found.only_baseline == pytest.approx(200 * found.mean)
    assert found.differing >= 4


def test_mcnemar_calls_a_difference_no_more_often_than_it_says():
    rng = RNG(2)
    called = [images.mcnemar(*rng.random((2, 60)).__gt__(0.3)) < 0.05 for _ in range(600)]
    assert np.mean(called) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)


@pytest.fixture
def predicted(calm, tmp_path):
    """A copy of a finished study whose trials left predictions that fit their accuracy."""
    root = tmp_path / "copy"
    shutil.copytree(calm.root, root)
    label = RNG(0).integers(0, 10, 1000).astype(np.int32)
    for trial in tables.summarise(root).trials:
        right = RNG(trial.seed).permutation(1000) < 1000 * trial.metrics["test_top1"]
        np.savez_compressed(
            store.trial_folder(root, trial.arm, trial.seed) / "predictions.npz",
            label=label, prediction=np.where(right, label, 10), rank=np.where(right, 0, 3),
        )  # fmt: skip
    return root


def test_the_report_has_a_row_for_every_claim(predicted):
    summary = tables.summarise(predicted)
    for row, found in zip(summary.questions, summary.images, strict=True):
        assert found is not None
        assert row.comparison is not None
        assert (found.seeds, found.images) == (3, 1000)
        assert found.mean == pytest.approx(row.comparison.mean, abs=2e-3)
    page = report.build(predicted)
    assert page.read_text().count('data-name="images"') == 3
    assert "## Image by image" in (predicted / "report.md").read_text()


def test_trials_of_earlier_versions_still_report(calm, predicted):
    assert set(tables.summarise(calm.root).images) == {None}
    assert "Image by image" not in (calm.root / "report.html").read_text()
    for path in predicted.rglob("predictions.npz"):
        with np.load(path) as found:
            old = {name: found[name] for name in ("label", "prediction")}
        np.savez_compressed(path, **old)
        right = images.read(path.parent, "test_top1")
        assert right is not None
        np.testing.assert_array_equal(right[1], old["label"] == old["prediction"])
        assert images.read(path.parent, "test_top5") is None
        assert images.read(path.parent, "test_loss") is None
    assert None not in tables.summarise(predicted).images


def test_damaged_or_other_predictions_leave_the_row_out(predicted):
    folder = store.trial_folder(predicted, "stacked_3x3", 1)
    (folder / "predictions.npz").write_bytes(b"PK no zip")
    rows = tables.summarise(predicted).images
    claims = [question.claim for question in tables.summarise(predicted).study.questions]
    assert dict(zip(claims, rows, strict=True))["A1"] is None
    assert report.build(predicted).is_file()

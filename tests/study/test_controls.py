"""Repeated controls: counted on networks whose truth is drawn here; then on real ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from inception_jax import errors, study
from inception_jax.cli import main
from inception_jax.data.builders import controls as builder
from inception_jax.study import controls, controls_page, power

MODULE = controls.load()
STUDY = MODULE.get_study()
ACCURACY, SPREAD = 0.85, 0.02
LOSS = controls_page.shift(STUDY, ACCURACY)


class Drawn:
    """Stands in for the compiled programs: networks of a known accuracy and spread."""

    def __init__(self, study=None, images=100):
        self.images = images

    def right(self, options, seeds):
        rng = np.random.default_rng([options["draw"], options.get("order", 0)])
        loss = LOSS if options.get("effect") else 0.0
        shares = rng.normal(ACCURACY - loss, SPREAD / np.sqrt(2), seeds)
        counts = np.clip(np.round(shares * self.images), 0, self.images).astype(int)
        return np.stack([rng.permutation(self.images) < count for count in counts])


@pytest.fixture
def drawn(monkeypatch):
    monkeypatch.setattr(controls, "Programs", Drawn)


def test_the_planted_loss_is_what_the_images_are_short_of():
    """Any classifier of this accuracy on images with a signal, on one test split by counting."""
    options = STUDY.config(STUDY.arm("planted"), 0).data.options.to_dict()
    _, labels = builder.arrays(options, "test")
    blank = round(builder.planted_effect(options) * len(labels) / 3)
    right = np.full(len(labels), 0.9)
    right[: 4 * blank] = 0.25
    assert controls_page.shift(STUDY, 0.9) == pytest.approx(0.9 - right.mean())


def test_a_draw_has_other_images_and_the_first_is_as_ever():
    first = builder.arrays({"train": 40, "test": 40}, "train")
    again = builder.arrays({"train": 40, "test": 40, "draw": 0}, "train")
    np.testing.assert_array_equal(first[0], again[0])
    assert first[0].shape == (40, 16, 16, 1)
    for split in ("train", "test"):
        one, other = (
            builder.arrays({"train": 40, "test": 40, "draw": d}, split)[0] for d in (1, 2)
        )
        assert (one != other).mean() > 0.9


@pytest.mark.slow
def test_rates_are_nominal_and_powers_as_planned(drawn, tmp_path):
    lines = list(controls.run(tmp_path, 60))
    pilot = controls.Pilot(1, ACCURACY, SPREAD)
    found = {rate.what: rate for rate in controls_page.rates(STUDY, pilot, lines)}
    assert all(rate.holds for rate in found.values()), found
    planted = found["planted loss: found"]
    assert planted.expected == power.t_power(LOSS / SPREAD, STUDY.seeds)
    low, high = scipy_stats.binom.interval(0.999, 60, planted.expected)
    assert low <= planted.times <= high
    measured = controls.measured(lines, STUDY)
    assert measured.sd == pytest.approx(SPREAD, rel=0.2)
    assert measured.accuracy == pytest.approx(ACCURACY, abs=0.01)


def test_the_exact_interval_is_the_published_one():
    # Clopper and Pearson's for 1 of 10, as in tables of exact limits: 0.25 % to 44.50 %
    low, high = controls_page.Rate("", 1, 10, 0.05).interval
    assert (low, high) == pytest.approx((0.0025, 0.4450), abs=5e-5)


def test_a_rate_that_does_not_fit_is_said(drawn, tmp_path):
    lines = list(controls.run(tmp_path, 8))
    sure = controls.Pilot(1, ACCURACY, SPREAD / 10)
    text = controls_page.page(STUDY, sure, lines, sure)
    assert "**no**" in text
    assert "repeated 8 times" in text


def test_repeats_go_on_where_they_ended(drawn, tmp_path):
    whole = list(controls.run(tmp_path / "a", 5))
    list(controls.run(tmp_path / "b", 3))
    file = tmp_path / "b" / controls.FILE
    file.write_text(file.read_text()[:-40])  # cut off while the third was written
    again = list(controls.run(tmp_path / "b", 5))
    for one, other in zip(whole, again, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0, "two_level": one["two_level"]}
    assert [json.loads(line)["draw"] for line in file.read_text().splitlines()[-3:]] == [3, 4, 5]


def test_other_controls_are_refused(drawn, tmp_path):
    list(controls.run(tmp_path, 1))
    file = tmp_path / controls.FILE
    changed = json.loads(file.read_text().splitlines()[0])
    changed["pilot"]["sd"] = 1.0
    file.write_text(json.dumps(changed) + "\n")
    with pytest.raises(errors.UserError, match="of other controls"):
        list(controls.run(tmp_path, 2))


def test_on_the_command_line(drawn, tmp_path, capsys):
    words = ["controls", "--repeats", "4", "--workdir", str(tmp_path / "r")]
    assert main([*words, "--publish", str(tmp_path / "docs")]) == 0
    out = capsys.readouterr().out
    assert "planted loss: found" in out
    assert "4 × 24" in " ".join((tmp_path / "docs" / "controls.md").read_text().split())
    assert main(["controls", "--pilot", "2"]) == 0
    assert "over 2 repeats" in capsys.readouterr().out


def test_mistakes_are_one_line(capsys):
    assert main(["controls", "--repeats", "0"]) == 2
    assert main(["study", "controls"]) == 2
    assert "inception-jax controls" in capsys.readouterr().err
    assert "controls" not in study.names()


@pytest.mark.slow
def test_real_networks_learn_and_the_order_matters():
    programs = controls.Programs(STUDY)
    options = {
        arm.name: STUDY.config(arm, 0).data.options.to_dict() | {"draw": 1} for arm in STUDY.arms
    }
    right = {name: programs.right(chosen, 1) for name, chosen in options.items()}
    assert all(values.mean() > 0.6 for values in right.values())
    assert not np.array_equal(right["one"], right["twin"])
    np.testing.assert_array_equal(right["one"], programs.right(options["one"], 1))
    blank = round(MODULE.EFFECT * 400 / 3)
    assert right["planted"][0, : 4 * blank].mean() == 0.25

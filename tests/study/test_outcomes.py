"""Metrics that are read from a learning curve."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inception_jax import study
from inception_jax.study import outcomes, wording
from inception_jax.study.store import State, Trial

CURVE = [(10, 0.2), (20, 0.6), (30, 0.5), (40, 0.9)]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "trials" / "a" / "seed-0"
    folder.mkdir(parents=True)
    lines = [{"step": step, "split": "test_ema", "top1": value} for step, value in CURVE]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def added(root, *metrics, state: State = "done"):
    trial = Trial("a", 0, state, metrics={"test_top1": 0.9}, record={"steps": 40})
    return outcomes.add(root, trial, metrics).metrics


def test_the_early_window_is_the_mean_of_its_evaluations(root):
    assert added(root, "early(test_ema_top1, 0.5)")["early(test_ema_top1, 0.5)"] == 0.4
    assert added(root, "early(test_ema_top1, 1)")["early(test_ema_top1, 1)"] == pytest.approx(0.55)


@pytest.mark.parametrize("level", [0.2, 0.35, 0.6, 0.7, 0.9])
def test_the_time_to_a_level_is_that_of_a_straight_line(level):
    steps, values = zip(*CURVE, strict=True)
    fine = np.linspace(10, 40, 30_001)
    first = fine[np.argmax(np.interp(fine, steps, values) >= level - 1e-9)]
    assert outcomes.time_to(CURVE, level, 40) == pytest.approx(first / 40, abs=1e-4)


def test_a_level_that_is_never_reached_counts_as_the_whole_run(root):
    assert added(root, "time_to(test_ema_top1, .95)")["time_to(test_ema_top1, .95)"] == 1


def test_what_cannot_be_read_is_left_out(root):
    assert set(added(root, "early(test_top1, 0.5)", "early(test_ema_top1, 0.1)", "test_top1")) == {
        "test_top1"
    }
    assert set(added(root, "early(test_ema_top1, 1)", state="failed")) == {"test_top1"}


@pytest.mark.parametrize(
    "metric", ["early(test_top1)", "time_to(test_top1, 2)", "test top1", "f(x, 1)"]
)
def test_other_words_are_refused(metric):
    with pytest.raises(ValueError, match="neither a name nor"):
        study.Question("A7", "x", treatment="a", baseline="b", metric=metric)


def test_a_report_says_what_the_question_is_about():
    question = study.Question("A7", "x", "a", "b", "less", metric="time_to(test_top1, 0.9)")
    assert wording.rule(question) == "share of the run until test_top1 is 90 %: less"
    early = study.Question("A7", "x", "a", "b", metric="early(test_top1, 0.25)")
    assert wording.rule(early) == "mean test_top1 in the first 25 % of the run: greater"

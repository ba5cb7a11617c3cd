"""The whole way once, with real training: config, process, result, cost, report."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

from inception_jax import study
from inception_jax.study import costs, local, runner, tables

SMOKE = study.load("factorization", "smoke")


@pytest.mark.slow
def test_two_arms_are_trained_counted_and_reported(tmp_path):
    small = dataclasses.replace(SMOKE, arms=SMOKE.arms[:2], questions=SMOKE.questions[1:2])
    text = io.StringIO()
    runner.run_study(small, tmp_path / "s", local.Local(), Console(file=text, width=80))
    summary = tables.summarise(tmp_path / "s")
    assert summary.done == 4, text.getvalue()
    assert all(row.cost is not None and 0.2 < row.mean <= 1 for row in summary.arms)
    (row,) = summary.questions
    assert row.comparison is not None
    assert row.comparison.n == 2


@pytest.mark.slow
@pytest.mark.parametrize("data", ["photos", "mnist5k", "digits"])
def test_the_resolution_arms_cost_nearly_the_same(tmp_path, data):
    described = study.load("resolution", "default", data)
    costs.count(tmp_path, described)
    macs = {arm: cost.macs for arm, cost in costs.read(tmp_path).items()}
    assert set(macs) == {arm.name for arm in described.arms}
    (claim,) = described.costs
    row = costs.decide(claim, macs)
    assert row.verdict == "supported", json.dumps(macs)
    assert macs["small_naive"] < macs["medium_naive"] < macs["medium"]

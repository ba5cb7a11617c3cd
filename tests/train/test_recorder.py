"""What is written down about a run, and when it is stopped."""

from __future__ import annotations

import numpy as np
import pytest
from standin import config

from inception_jax.train import metrics, progress, recorder
from inception_jax.train.blame import NotFinite


def make(path, step=0, **options):
    cfg = config(train__log_every_steps=4, train__epochs=1)
    line = progress.Progress(cfg.derived.steps, shown=False)
    return recorder.Recorder(metrics.MetricsFile(path, step), line, cfg, **options)


def values(loss, finite=(True, True, True)):
    return {"loss": np.float32(loss), "top1": np.float32(0.5), "leaf_finite": np.array(finite)}


def plain(path):
    """The records without their times."""
    return [
        {k: v for k, v in record.items() if k not in metrics.TIME_FIELDS}
        for record in metrics.read(path)
    ]


def test_a_line_is_the_mean_of_its_steps(tmp_path):
    record = make(tmp_path / "m")
    for step in range(1, 9):
        record.push(step, values(step))
    record.drain()
    assert [(r["step"], r["loss"], r["epoch"]) for r in plain(tmp_path / "m")] == [
        (4, 2.5, 0.5),
        (8, 6.5, 1.0),
    ]
    assert record.train_loss == 6.5


def test_the_newest_steps_are_left_to_the_device(tmp_path):
    record = make(tmp_path / "m")
    for step in range(1, 5):
        record.push(step, values(step))
    assert plain(tmp_path / "m") == []
    record.drain()
    assert len(plain(tmp_path / "m")) == 1


def test_a_recorder_that_goes_on_writes_the_same_lines(tmp_path):
    whole = make(tmp_path / "whole")
    for step in range(1, 9):
        whole.push(step, values(step / 3))
    whole.drain()
    first = make(tmp_path / "parts")
    for step in range(1, 7):
        first.push(step, values(step / 3))
    first.drain()
    second = make(tmp_path / "parts", step=6, state=first.state())
    for step in range(7, 9):
        second.push(step, values(step / 3))
    second.drain()
    assert plain(tmp_path / "parts") == plain(tmp_path / "whole")


def test_what_a_checkpoint_keeps_does_not_change_while_it_is_written(tmp_path):
    record = make(tmp_path / "m")
    record.push(1, values(1.0))
    record.drain()
    kept = record.state()
    before = (list(kept["window"]), list(kept["timed"]))
    for step in (2, 3):
        record.push(step, values(step))
    record.drain()
    assert (kept["window"], kept["timed"]) == before


def test_a_nan_stops_within_the_lag_at_its_own_step(tmp_path):
    record = make(tmp_path / "m")
    record.push(5, values(1.0))
    record.push(6, values(np.nan))
    record.push(7, values(np.nan))
    with pytest.raises(NotFinite) as caught:
        record.push(8, values(np.nan))
    assert caught.value.step == 6


def test_a_gradient_that_is_not_finite_stops_too(tmp_path):
    record = make(tmp_path / "m")
    record.push(1, values(1.0, finite=(True, False, False)))
    with pytest.raises(NotFinite) as caught:
        record.drain()
    assert caught.value.loss == 1.0
    assert caught.value.leaves.tolist() == [True, False, False]


def test_a_recorder_that_goes_on_after_the_last_step_knows_its_loss(tmp_path):
    first = make(tmp_path / "m")
    for step in range(1, 9):
        first.push(step, values(step))
    first.drain()
    assert make(tmp_path / "m", step=8, state=first.state()).train_loss == first.train_loss == 6.5

"""metrics.jsonl survives a kill and is cut back to the checkpoint."""

from __future__ import annotations

import pytest

from inception_jax import errors, files
from inception_jax.train import metrics


def test_a_resumed_file_keeps_only_what_the_checkpoint_has_behind_it(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = metrics.MetricsFile(path, 0)
    for step in (10, 20, 30):
        file.write({"step": step, "loss": 1 / step})
    again = metrics.MetricsFile(path, 20)
    again.write({"step": 30, "loss": 5.0})
    assert metrics.read(path) == [
        {"step": 10, "loss": 0.1},
        {"step": 20, "loss": 0.05},
        {"step": 30, "loss": 5.0},
    ]


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10, "loss": 1.0}\n{"step": 20, "lo')
    metrics.MetricsFile(path, 20)
    assert path.read_text() == '{"step": 10, "loss": 1.0}\n'


def test_a_new_run_starts_an_empty_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n')
    metrics.MetricsFile(path, 0)
    assert path.read_text() == ""


def test_a_file_that_fails_to_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "x.json"
    files.write_text(path, "old")

    def full(file):
        file.write(b"half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.UserError, match=r"cannot write .*x.json: No space left on device"):
        files.write_whole(path, full)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]

"""Checkpoints come back exactly, and a damaged one is noticed."""

from __future__ import annotations

import logging
import re
import resource
import time

import jax
import numpy as np
import pytest
from standin import SHAPE, Network, config

from inception_jax import errors
from inception_jax.train import checkpoint, state

LOGGER = "inception_jax.train.checkpoint"


@pytest.fixture(scope="module")
def start():
    return state.create(Network(), config(optim__ema_decay=0.9), SHAPE)


def shifted(start, step):
    """A state that differs from `start` in every number."""
    moved = jax.tree.map(lambda leaf: leaf + np.asarray(step, leaf.dtype), start)
    return moved.replace(step=start.step + step)


def saved(folder, start, steps, **options):
    checkpoints = checkpoint.Checkpoints(folder, **options)
    for step in steps:
        checkpoints.save(step, shifted(start, step), {"data": {"next": step}})
    checkpoints.finish()
    checkpoints.close()


def damage(folder):
    """Flip one bit in the middle of every file."""
    for file in (p for p in folder.rglob("*") if p.is_file() and p.stat().st_size):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))


def test_everything_comes_back(tmp_path, start):
    saved(tmp_path / "c", start, [5, 9])
    found = checkpoint.Checkpoints(tmp_path / "c").restore(start)
    assert found is not None
    assert state.digest(found[0]) == state.digest(shifted(start, 9))
    assert jax.tree.structure(found[0]) == jax.tree.structure(start)
    assert found[1] == {"data": {"next": 9}}


def test_nothing_to_restore(tmp_path, start):
    assert checkpoint.Checkpoints(tmp_path / "none").restore(start) is None


def test_only_the_newest_are_kept(tmp_path, start):
    saved(tmp_path / "c", start, [1, 2, 3, 4], keep=2)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["3", "4"]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, start, caplog):
    saved(tmp_path / "c", start, [5, 9])
    damage(tmp_path / "c" / "9" / "state")
    checkpoints = checkpoint.Checkpoints(tmp_path / "c")
    with caplog.at_level(logging.WARNING, LOGGER):
        found = checkpoints.restore(start)
    assert found is not None
    assert state.digest(found[0]) == state.digest(shifted(start, 5))
    assert "checkpoint of step 9 cannot be read" in caplog.text
    checkpoints.save(9, shifted(start, 9), {})  # the step can be written again
    checkpoints.finish()
    assert checkpoints.last_good().startswith("step 9 in ")
    checkpoints.close()


def test_a_wrong_digest_is_noticed(tmp_path, start, caplog, monkeypatch):
    monkeypatch.setattr(checkpoint.states, "digest", lambda tree: "0" * 64)
    saved(tmp_path / "c", start, [5])
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING, LOGGER):
        assert checkpoint.Checkpoints(tmp_path / "c").restore(start) is None
    assert "digest" in caplog.text


def test_an_unfinished_write_is_not_seen(tmp_path, start):
    saved(tmp_path / "c", start, [5, 9])
    newest = tmp_path / "c" / "9"
    newest.rename(newest.with_name("9.orbax-checkpoint-tmp"))
    found = checkpoint.Checkpoints(tmp_path / "c").restore(start)
    assert found is not None
    assert int(found[0].step) == 5


def test_due_by_steps_and_by_seconds(tmp_path, monkeypatch):
    by_steps = checkpoint.Checkpoints(tmp_path, every_steps=10)
    assert [step for step in range(1, 31) if by_steps.due(step)] == [10, 20, 30]
    by_time = checkpoint.Checkpoints(tmp_path, every_seconds=60.0)
    begin = time.monotonic()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: begin + 59)
    assert not by_time.due(1)
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: begin + 61)
    assert by_time.due(2)
    assert not checkpoint.Checkpoints(tmp_path).due(1)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, start):
    (tmp_path / "file").write_text("")
    checkpoints = checkpoint.Checkpoints(tmp_path / "file" / "c")
    with pytest.raises(errors.UserError, match=r"cannot write a checkpoint to .*earlier ones"):
        checkpoints.save(1, start, {})


def step_of_the_newest(folder, start):
    found = checkpoint.Checkpoints(folder).restore(start)
    assert found is not None
    assert state.digest(found[0]) == state.digest(shifted(start, int(found[0].step)))
    return int(found[0].step)


def test_a_disk_without_room_is_one_line_and_is_left_alone(tmp_path, start, monkeypatch):
    saved(tmp_path / "c", start, [5])
    usage = checkpoint.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda folder: usage)
    message = r"No space left on device, \d.\d MiB needed and 0.0 MiB free; earlier ones are intact"
    with pytest.raises(errors.UserError, match=message):
        saved(tmp_path / "c", start, [9])
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["5"]
    assert step_of_the_newest(tmp_path / "c", start) == 5


# TensorStore's other files report to an event loop that Orbax has closed by then
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_write_that_fails_half_way_is_one_line_and_the_one_before_is_used(
    tmp_path, start, caplog
):
    """The operating system refuses every file beyond 200 bytes, as a full disk or a quota does."""
    saved(tmp_path / "c", start, [5])
    checkpoints = checkpoint.Checkpoints(tmp_path / "c")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, usual[1]))
    try:
        checkpoints.save(9, shifted(start, 9), {})
        with pytest.raises(errors.UserError) as caught:
            checkpoints.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    checkpoints.close()
    message = str(caught.value)
    assert re.fullmatch(r"cannot write a checkpoint to \S+: File too large; .* are intact", message)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert step_of_the_newest(tmp_path / "c", start) == 5

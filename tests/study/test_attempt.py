"""What every launcher shares: what is started, what counts as whose fault, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inception_jax import errors
from inception_jax.study import attempt, exits, lock, machine, needs, store, sync, untrusted
from inception_jax.study.attempt import Attempt, Pool
from inception_jax.study.exits import Exit
from inception_jax.study.launch import Job


class Handle:
    process = 0

    def __init__(self, work: Any) -> None:
        self.work = work


class Fake(Pool[Handle]):
    """Two places; trials end when they have been looked at a number of times."""

    poll_seconds = 0.001
    last_look = 2

    def __init__(self, problems: int = 0, **shared: Any) -> None:
        super().__init__(**shared)
        self.works: list[Any] = []
        self.looks: dict[int, int] = {}
        self.problems = problems  # so often a start beside others fails
        self.stopped: list[str] = []

    def slots(self) -> int:
        return 2

    def describe(self) -> str:
        return "two at once"

    def room(self, running: int) -> int:
        return 1 if not running else 2 - running

    def start(self, attempts, works):
        del attempts
        if self.works and self.problems:
            self.problems -= 1
            raise errors.UserError("SLURM did not take the jobs: Socket timed out")
        self.works += works
        return [Handle(work) for work in works]

    def look(self, handle):
        self.looks[id(handle)] = self.looks.get(id(handle), 0) + 1
        if self.looks[id(handle)] < self.last_look:
            return "running"
        folder = Path(handle.work.folder)
        return Exit(0 if (folder / "result.json").exists() or handle.work.prepare else 1)

    def stop(self, handles):
        self.stopped += [handle.work.folder for handle in handles]


def jobs(root, count=2):
    found = [Job("a", seed, root / "trials" / "a" / f"seed-{seed}") for seed in range(count)]
    for job in found:
        store.write_json(job.folder / "config.json", {})
    return found


def test_what_cannot_be_started_waits_while_others_run(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "_START_SECONDS", 0.0)
    pool, events = Fake(problems=3), []
    pool.last_look = 10
    pool.launch(jobs(tmp_path), lambda event: events.append(event) if event else None)
    assert [event.kind for event in events if event.job.seed == 1].count("failed") == 1
    assert pool.problems == 0
    assert not pool.stopped  # nothing that ran was ended for it


def test_what_cannot_be_started_where_nothing_runs_is_the_end(tmp_path):
    pool = Fake(problems=1)
    pool.works.append(None)
    with pytest.raises(errors.UserError, match="Socket timed out"):
        pool.launch(jobs(tmp_path), lambda event: None)


def test_data_is_prepared_without_the_limits_of_a_trial(tmp_path, monkeypatch):
    offered = []
    monkeypatch.setattr(sync, "offer", offered.append)
    pool = Fake(time_limit=1.0, needs=needs.parse("memory=1,processes=2"))
    (job,) = jobs(tmp_path, 1)
    assert pool.check(job) == ""
    assert offered == [job]
    (work,) = pool.works
    assert (work.prepare, work.time_limit, work.memory, work.processes) == (True, None, 0.0, 1)


def test_jobs_that_may_still_run_on_slurm_are_not_run_beside(tmp_path):
    store.write_json(tmp_path / ".slurm" / "abc.job.json", {})
    with pytest.raises(errors.UserError, match=r"may still run on SLURM .* --launcher slurm"):
        Fake().launch(jobs(tmp_path), lambda event: None)


@pytest.mark.parametrize("ended", [Exit(75), Exit(-15), Exit(reason="its node", lost=True)])
def test_a_machine_s_fault_is_no_attempt(tmp_path, ended):
    (job,) = jobs(tmp_path, 1)
    now: Attempt | None = Attempt(job)
    for interruptions in range(1, attempt.INTERRUPTIONS + 1):
        assert now is not None
        event, now = attempt.settle(now, ended)
        assert event.kind == "retried"
        assert now is not None
        assert (now.number, now.interruptions) == (1, interruptions)
    event, now = attempt.settle(now, ended) if now else (None, None)
    assert event is not None
    assert (event.kind, now) == ("failed", None)


def test_of_several_processes_the_cause_is_told():
    touch, signalled = Exit(1, rank=0), Exit(-9, rank=1)
    assert exits.cause([touch, signalled]) is signalled
    limit = Exit(reason="it ran past the time limit of 1 s")
    assert exits.cause([signalled, limit]) is limit
    lost = Exit(reason="its worker was lost", lost=True)
    assert exits.cause([limit, lost]) is lost
    assert exits.cause([Exit(1), Exit(75)]).code == 75
    assert exits.cause([Exit(reason=exits.FOLLOWED), touch]) is touch
    assert exits.cause([Exit(0), Exit(0, rank=1)]) == Exit(0)


def test_the_log_of_the_process_that_failed_is_read(tmp_path):
    (job,) = jobs(tmp_path, 1)
    (job.folder / "log.txt").write_text("Connection closed by peer\n")
    (job.folder / "log-1.txt").write_text("error: no GPU left\n")
    assert attempt.outcome(job, Exit(1, rank=1)) == "error: no GPU left"


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"code": "x"}', json.dumps({**json.loads(Exit().to_json()), "lost": 3})]
)
def test_an_exit_from_elsewhere_is_data(text):
    with pytest.raises(ValueError, match="no exit"):
        exits.from_json(text)


def test_an_exit_survives_the_way_and_loses_its_control_characters():
    sent = Exit(-9, "out of \x1b[2Jmemory", lost=True, result=True, seconds=1.5, rank=3)
    found = exits.from_json(sent.to_json())
    assert found.reason == "out of \ufffd[2Jmemory"
    assert (found.code, found.lost, found.result, found.seconds, found.rank) == (
        -9, True, True, 1.5, 3,
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_log_is_written_through_no_link_and_waits_for_no_pipe(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"."):
            untrusted.append(tmp_path / name)
    assert victim.read_text() == "kept"
    assert attempt.last_line(tmp_path / "pipe") == ""
    with untrusted.append(tmp_path / "log.txt") as file:
        file.write(b"one\n")
    with untrusted.append(tmp_path / "log.txt") as file:
        file.write(b"two\n")
    assert (tmp_path / "log.txt").read_bytes() == b"one\ntwo\n"


FENCED = """
import time
from inception_jax.study import trial
trial._LEASE_SECONDS = 0.05
trial.tie_to_driver()
print("begun", flush=True)
time.sleep(600)
"""


def test_a_trial_ends_once_another_driver_has_taken_over(tmp_path):
    with lock.hold(tmp_path):
        fence = lock.fence(tmp_path)
        assert lock.fence(tmp_path / "search") == fence  # the search's folder has no lease
        process = subprocess.Popen(
            [sys.executable, "-c", FENCED], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | {"INCEPTION_JAX_LEASE": fence},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        assert process.poll() is None
        path = tmp_path / lock.LEASE_FILE
        path.write_text(json.dumps(json.loads(path.read_text()) | {"token": "another's"}))
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said == "error: another driver has taken over the study\n"
    assert lock.fence(tmp_path) == "another's@" + str(path)


def test_gpus_are_shared_out_whatever_the_number_of_trials(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    slots, reason = machine.plan(jobs=2)
    assert [slot.gpus for (slot,) in slots] == [(0,), (1,)]
    assert reason == "2 at once, one for each GPU"
    slots, reason = machine.plan(jobs=9, needs=needs.parse("gpus=2"))
    assert (len(slots), reason) == (2, "2 at once (of 9 asked for), 1 core and 2 GPU for each")
    slots, _ = machine.plan()
    assert machine.environment(slots[1][0], os.environ)["CUDA_VISIBLE_DEVICES"] == "5"
    assert "JAX_PLATFORMS" not in machine.environment(slots[1][0], os.environ)
    assert machine.environment(machine.Slot(), os.environ)["JAX_PLATFORMS"] == "cpu"


def test_more_trials_than_gpus_share_them_and_their_memory(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    slots, reason = machine.plan(jobs=5)
    assert [slot.gpus for (slot,) in slots] == [(0,), (1,), (0,), (1,), (0,)]
    assert reason == "5 at once, up to 3 on a GPU"
    given = [machine.environment(slot, {"CUDA_VISIBLE_DEVICES": "4,5"}) for (slot,) in slots]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["4", "5", "4", "5", "4"]
    shares = [float(one["XLA_PYTHON_CLIENT_MEM_FRACTION"]) for one in given]
    assert sum(shares[::2]) < 0.9
    (alone,) = machine.plan(jobs=1)[0][0]
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in machine.environment(alone, {})


def test_tpus_that_are_not_there_are_no_slots():
    with pytest.raises(errors.UserError, match="has no TPU"):
        machine.plan(needs=needs.parse("tpus=4"))

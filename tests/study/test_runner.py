"""Launching, failing, stopping and going on, with stand-in trials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from inception_jax import errors
from inception_jax.study import launch, lock, machine, runner, store

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import Bench
from inception_jax import errors
try:
    Bench(Path({base!r})).run()
except errors.UserError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def driver(bench) -> subprocess.Popen[str]:
    code = DRIVER.format(here=str(Path(__file__).parent), base=str(bench.base))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def trials_of(bench) -> list[int]:
    """Processes of trials that have begun."""
    marks = (bench.root / "trials").glob("*/seed-*/tried")
    return [int(mark.read_text() or 0) for mark in marks if mark.read_text()]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def gone(process: int) -> bool:
    return (
        not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    )


def test_a_calm_run_writes_everything(calm):
    assert "15 of 15 trials" in calm.text.getvalue()
    names = ("report.html", "report.md", "trials.csv", "table.tex", "plots/accuracy.svg")
    assert all((calm.root / name).stat().st_size for name in names)


@pytest.mark.parametrize("fault", ["kill-once", "half"])
def test_a_trial_that_fails_once_is_retried_and_the_table_is_the_same(bench, calm, fault):
    bench.plant(direct__1=fault)
    bench.run()
    assert "direct seed 1 failed" in bench.text.getvalue()
    assert "trying again" in bench.text.getvalue()
    assert bench.tables() == calm.tables()


def test_sigkill_is_named(bench):
    bench.plant(direct__1="kill-once")
    bench.run()
    assert "killed by SIGKILL" in bench.text.getvalue()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nan", "not finite at step 7"), ("kill", "SIGKILL"), ("nan-result", "not finite")],
)
def test_a_trial_that_fails_twice_is_reported_and_stops_nothing(bench, fault, reason):
    bench.plant(direct__1=fault)
    with pytest.raises(runner.TrialsFailed, match=reason) as caught:
        bench.run()
    assert "1 of 15 trials failed twice" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "inception-jax study factorization" in str(caught.value)
    assert caught.value.report.exists()
    csv = (bench.root / "trials.csv").read_text()
    assert csv.count(",done,") == 14
    assert "direct,1,failed" in csv
    assert "direct seed 1 failed" in (bench.root / "report.html").read_text()


def test_what_failed_runs_again_and_heals(bench, calm):
    bench.plant(direct__1="nan")
    with pytest.raises(runner.TrialsFailed):
        bench.run()
    bench.plant()
    bench.run()
    assert "1 trials to run, 14 done before" in bench.text.getvalue()
    assert bench.tables() == calm.tables()


def test_a_trial_that_hangs_ends_at_its_time_limit(bench):
    bench.plant(direct__1="hang")
    with pytest.raises(runner.TrialsFailed, match="time limit"):
        bench.run(time_limit=3.0)


def test_a_half_written_result_is_reported_and_run_again(bench, calm):
    bench.run()
    path = store.trial_folder(bench.root, "asymmetric", 2) / "result.json"
    path.write_text(path.read_text()[:50])
    bench.run()
    assert "asymmetric seed 2: result.json is cut off" in bench.text.getvalue()
    assert "1 trials to run, 14 done before" in bench.text.getvalue()
    assert bench.tables() == calm.tables()


def test_nothing_runs_when_everything_is_there(bench):
    bench.run()
    marks = {mark: mark.stat().st_mtime_ns for mark in bench.root.rglob("result.json")}
    bench.run()
    assert "all 15 trials are there already" in bench.text.getvalue()
    assert marks == {mark: mark.stat().st_mtime_ns for mark in bench.root.rglob("result.json")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_ends_its_trials_and_goes_on_where_it_stopped(bench, calm, number):
    bench.plant(direct__1="hang", asymmetric__2="hang")
    process = driver(bench)
    until(lambda: len(trials_of(bench)) >= 4)
    until(lambda: any(bench.root.rglob("result.json")))
    running = trials_of(bench)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "To go on: inception-jax study factorization --workdir" in output.splitlines()[-1]
    assert all(gone(trial) for trial in running)
    bench.plant()
    bench.run()
    assert "done before" in bench.text.getvalue()
    assert bench.tables() == calm.tables()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own tie is Linux's")
def test_no_trial_outlives_a_driver_that_is_killed(bench):
    bench.plant(all="hang")
    process = driver(bench)
    until(lambda: len(trials_of(bench)) >= 4)
    running = trials_of(bench)
    process.kill()
    process.communicate()
    until(lambda: all(gone(trial) for trial in running))


def test_a_second_driver_says_so_and_leaves(bench):
    with (
        lock.hold(bench.root),
        pytest.raises(errors.UserError, match=f"another driver .process {os.getpid()}."),
    ):
        bench.run()
    assert not (bench.root / "study.json").exists()
    bench.run()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(errors.UserError, match="cannot write to"),
        lock.hold(tmp_path / "file" / "study"),
    ):
        pass


def test_seeds_are_interleaved_and_every_arm_comes_once_first(bench):
    store.register(bench.root, bench.study)
    waiting, _ = runner._jobs(bench.root, bench.study, runner.Console(file=bench.text))
    assert [job.seed for job in waiting] == [0] * 5 + [1] * 5 + [2] * 5
    assert len({job.arm for job in waiting[:5]}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"launcher": "lokal"}, "did you mean 'local'"),
        ({"seeds": 0}, "--seeds must be at least 1"),
        ({"jobs": 0}, "--jobs must be at least 1"),
        ({"scale": "huge"}, "unknown scale"),
        ({"time_limit": 0.5}, "--time-limit must be at least 1"),
        ({"needs": "gpu=1"}, "unknown need 'gpu'; did you mean 'gpus'"),
        ({"needs": "cpus=many"}, "--needs cpus must be a number, got 'many'"),
        ({"needs": "processes=0"}, "--needs processes must be at least 1"),
        ({"address": "host:6379"}, "--address goes with --launcher ray"),
        ({"slurm": "partition=gpu"}, "--slurm goes with --launcher slurm"),
    ],
)
def test_wrong_use_is_a_usage_error(tmp_path, options, message):
    with pytest.raises(errors.UsageError, match=message):
        runner.run("factorization", tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_the_command_to_go_on_is_the_one_that_was_given():
    options = {"workdir": "a b", "data": None, "seeds": 3}
    assert runner.command("x", options) == "inception-jax study x --workdir 'a b' --seeds 3"
    assert str(runner.default_workdir("x", "photos", "smoke")) == "runs/x-photos-smoke"
    assert str(runner.default_workdir("x")) == "runs/x"


def test_a_slot_of_one_core_gets_one_thread_and_one_device():
    slot = machine.Slot(cores=(1,))
    flags = "--xla_force_host_platform_device_count=8 --xla_other=1"
    found = machine.environment(slot, {"XLA_FLAGS": flags, "HOME": "/h"})
    given = found["XLA_FLAGS"].split()
    assert "--xla_other=1" in given
    assert "--xla_force_host_platform_device_count=8" not in given
    assert "--xla_force_host_platform_device_count=1" in given
    assert "--xla_cpu_multi_thread_eigen=false" in given
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    unpinned = machine.environment(machine.Slot(), {"XLA_FLAGS": flags, "HOME": "/h"})
    assert unpinned["XLA_FLAGS"] == found["XLA_FLAGS"]  # the same bits, wherever a trial runs
    given = {"CUDA_VISIBLE_DEVICES": "4,7"}
    assert machine.environment(machine.Slot(gpus=(1,)), given)["CUDA_VISIBLE_DEVICES"] == "7"


def test_the_plan_leaves_room_in_memory():
    slots, reason = machine.plan(memory_gb=1e6)
    assert len(slots) == 1
    assert len(slots[0][0].cores) <= 1  # fewer trials get no more cores: their bits would change
    assert "limited by" in reason or "1 at once" in reason


def test_a_launcher_is_found_by_name():
    assert launch.create("local", jobs=2).slots() == 2

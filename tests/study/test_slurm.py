"""What SLURM is asked and what is made of its answers, with commands that stand in for it."""

from __future__ import annotations

import os

import pytest

from inception_jax import errors
from inception_jax.study import exits, needs, on_slurm, slurm_submit, slurm_worker, store
from inception_jax.study.attempt import Attempt
from inception_jax.study.child import Work
from inception_jax.study.exits import Exit
from inception_jax.study.launch import Job

pytest.importorskip("submitit")

SBATCH = """#!/bin/sh
cp "$1" "$FAKE/script"
echo Submitted batch job 4711
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
echo "4711_0|$(cat "$FAKE/state")|n1"
echo "4711_1|RUNNING|n2"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder of commands that come before the machine's own."""
    commands = {"srun": "#!/bin/sh\n", "sbatch": SBATCH, "sacct": SACCT}
    commands["scancel"] = '#!/bin/sh\necho "$@" >> "$FAKE/cancelled"\n'
    for name, text in commands.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "state").write_text("RUNNING")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def submitted(root, count=2, **options):
    """Two trials, handed to SLURM."""
    pool = on_slurm.OnSlurm(**options)
    jobs = [Job("arm", seed, store.trial_folder(root, "arm", seed)) for seed in range(count)]
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
    works = [Work(str(job.folder), processes=pool.needs.processes) for job in jobs]
    return pool, jobs, pool.start([Attempt(job) for job in jobs], works)


def test_the_script_is_an_array_that_asks_for_what_was_said(slurm):
    needed = needs.parse("cpus=8,gpus=2,memory=30,processes=4")
    pool, _, handles = submitted(
        slurm / "study", jobs=16, needs=needed, slurm="partition=gpu,time=90,account=x"
    )
    script = (slurm / "script").read_text()
    for line in (
        "--array=0-1%2", "--partition=gpu", "--account=x", "--time=90", "--requeue", "--nodes=4",
        "--ntasks-per-node=1", "--cpus-per-task=8", "--gpus-per-task=2", "--mem=30GB",
        "--signal=USR2@90", "--open-mode=append",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert [handle.id for handle in handles] == ["4711_0", "4711_1"]
    assert pool.room(4) > 1000  # the array as a whole; SLURM holds it to --jobs at once


@pytest.mark.parametrize(
    ("state", "reason", "lost"),
    [
        ("NODE_FAIL", "its SLURM job ended as NODE_FAIL", True),
        ("OUT_OF_MEMORY", "out of memory: ended by SLURM", False),
        ("TIMEOUT", "it ran past the time limit of its SLURM job", False),
        ("CANCELLED by 1000", "its SLURM job was cancelled", False),
        ("FAILED", "its SLURM job ended as FAILED", False),
    ],
)
def test_a_job_that_leaves_no_word_is_what_slurm_says(slurm, monkeypatch, state, reason, lost):
    monkeypatch.setattr(on_slurm, "_GONE_SECONDS", 0.0)
    pool, _, (first, second) = submitted(slurm / "study")
    first.job.watcher.clear()
    assert pool.look(first) == "waiting"
    (slurm / "state").write_text(state)
    first.job.watcher.update()
    found = pool.look(first)
    assert isinstance(found, Exit)
    assert (found.reason, found.lost) == (reason, lost)
    assert pool.look(second) == "waiting"


def test_a_job_that_was_preempted_is_waited_for(slurm):
    pool, _, (first, _) = submitted(slurm / "study")
    (slurm / "state").write_text("PREEMPTED")
    first.job.watcher.update()
    assert pool.look(first) == "waiting"
    first.preempted -= on_slurm._PREEMPTED_SECONDS + 1
    assert pool.look(first) == "running"  # it has ended; a last word may still come
    first.gone -= on_slurm._GONE_SECONDS + 1
    assert pool.look(first) == Exit(reason="its SLURM job ended as PREEMPTED", lost=True)


def test_the_first_process_that_failed_tells_for_all(slurm):
    pool, _, handles = submitted(slurm / "study", needs=needs.parse("processes=2"))
    notes = slurm_worker.Notes(slurm / "study" / ".slurm", handles[0].token)
    notes.begin(0)
    assert pool.look(handles[0]) == "running"
    notes.end(0, Exit(reason=exits.FOLLOWED))
    assert pool.look(handles[0]) == "running"
    notes.end(1, Exit(code=-9))
    assert pool.look(handles[0]) == Exit(code=-9)


def test_the_next_driver_takes_over_what_runs_and_cancels_what_it_stops(slurm):
    _, jobs, handles = submitted(slurm / "study")
    (slurm / "state").write_text("FAILED")
    handles[0].job.watcher.update()
    (slurm / "study" / ".slurm" / "odd.job.json").write_text('{"id": "1; rm -rf /", "arm": 1}')
    pool = on_slurm.OnSlurm()
    ((attempt, handle),) = pool.adopt(jobs)
    assert attempt.job == jobs[1]
    assert handle.id == "4711_1"
    assert [path.name for path in (slurm / "study" / ".slurm").glob("*.job.json")] == [
        f"{handle.token}.job.json"
    ]
    slurm_worker.Notes(slurm / "study" / ".slurm", handle.token).end(0, Exit(code=75))
    pool.stop([handle])
    assert (slurm / "cancelled").read_text() == "4711_1\n"


def test_jobs_of_a_later_stage_are_left_to_it(slurm):
    _, jobs, handles = submitted(slurm / "study")
    pool = on_slurm.OnSlurm()
    assert [attempt.job for attempt, _ in pool.adopt(jobs[:1])] == jobs[:1]
    assert [attempt.job for attempt, _ in pool.adopt(jobs[1:])] == jobs[1:]
    assert all(handle.record.exists() for handle in handles)


@pytest.mark.parametrize(
    "other", [{"slurm": "cluster=local"}, {"needs": needs.parse("processes=2")}]
)
def test_jobs_of_another_kind_are_not_run_beside(slurm, other):
    _, jobs, _ = submitted(slurm / "study")
    with pytest.raises(errors.UserError, match=r"job 4711_\d of this study may still run \(slurm"):
        on_slurm.OnSlurm(**other).adopt(jobs)


def test_exits_of_an_earlier_life_of_a_job_are_no_reason_to_stop(tmp_path, monkeypatch):
    notes = slurm_worker.Notes(tmp_path, "t")
    notes.end(1, Exit(code=1))
    assert notes.exit(1, "0") == Exit(code=1)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert notes.exit(1, "1") is None
    notes.end(1, Exit(code=2))
    assert notes.exit(1, "1") == Exit(code=2)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90:30", 91), ("04:00:00", 240), ("1-0", 1440), ("2-12:30", 3630), ("0:10", 1)],
)
def test_times_are_those_of_sbatch(text, minutes):
    assert slurm_submit._minutes(text) == minutes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slurm": "time=soon"}, "time='soon' is no time"),
        ({"slurm": "nodes=3", "needs": needs.parse("processes=4")}, "does not divide the 4"),
        ({"slurm": "nodes=x"}, "nodes=x does not divide"),
        ({"needs": needs.parse("tpus=4")}, "cannot ask for TPUs"),
    ],
)
def test_what_slurm_could_not_be_asked_is_wrong_use(slurm, options, message):
    with pytest.raises(errors.UsageError, match=message):
        submitted(slurm / "study", **options)


def test_memory_is_that_of_all_processes_on_a_machine(slurm):
    submitted(slurm / "study", needs=needs.parse("memory=30,processes=4"), slurm="nodes=2")
    script = (slurm / "script").read_text()
    assert "#SBATCH --mem=60GB\n" in script
    assert "#SBATCH --ntasks-per-node=2\n" in script


def test_what_sbatch_refuses_is_one_line(slurm):
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'invalid partition' >&2; exit 1\n")
    with pytest.raises(errors.UserError, match=r"did not take the jobs: .*invalid partition"):
        submitted(slurm / "study")


def test_a_machine_without_slurm_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.UserError, match=r"cannot use SLURM: .*srun"):
        submitted(tmp_path / "study")


def test_parameters_without_a_value_are_wrong_use():
    with pytest.raises(errors.UsageError, match="--slurm takes KEY=VALUE"):
        on_slurm.OnSlurm(slurm="partition")

"""What is seen of a study: the live table, the plain line, the driver's note, `--status`."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import time

import pytest
from rich.console import Console

from inception_jax import errors
from inception_jax.bench import folder as simulated
from inception_jax.cli import main
from inception_jax.study import board, live, lock, progress, runner, status, store
from inception_jax.study.board import Board
from inception_jax.study.launch import Event, Interrupted, Job
from inception_jax.study.progress import Running, Snapshot


def printed(content, width=80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(content)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def snapshot(arms: int, seeds: int, running=(), **options) -> Snapshot:
    states = {(f"arm_{i}", seed): "waiting" for i in range(arms) for seed in range(seeds)}
    states |= {(one.arm, one.seed): "running" for one in running}
    return Snapshot("A study", states, tuple(running), **options)


def test_the_table_is_legible_at_80_columns():
    running = (Running("arm_1", 0, 60.0, 0.25, 1234.5), Running("arm_2", 3, 2.0))
    lines = printed(live.table(snapshot(5, 8, running, seconds=75.0, left=600.0)))
    assert max(map(len, lines)) <= 80
    assert "0: 25 % 1,234 img/s 3:00 left" in lines[3]
    assert "3: starting" in lines[4]
    assert lines[-1] == (
        "0 of 40 trials done · 2 running · 1 min 15 s so far · about 10 min 0 s left"
    )


def test_long_names_many_seeds_and_many_arms_fit_too():
    states = {("a" * 64, seed): "done" for seed in range(100)}
    lines = printed(live.table(Snapshot("A study with a title " * 9, states)))
    assert max(map(len, lines)) <= 80
    assert "100/100" in "".join(lines)
    running = (Running("arm_90", 0, 1.0),)
    lines = printed(live.table(snapshot(125, 8, running), height=24))
    assert len(lines) < 24
    assert any(line.startswith("arm_90") for line in lines)
    assert any("more arms" in line for line in lines)


def test_names_are_text_not_markup():
    lines = printed(live.table(Snapshot("[red]x[/]", {("[bold]", 0): "done"})))
    assert lines[0] == "[red]x[/]"
    assert lines[2].startswith("[bold]")


def test_the_time_left_follows_each_arm_and_each_trials_own_progress():
    states = {("slow", 0): "done", ("slow", 1): "waiting", ("fast", 0): "done",
              ("fast", 1): "running"}  # fmt: skip
    took = {"slow": [100.0], "fast": [10.0]}
    assert progress.seconds_left(states, [Running("fast", 1, 4.0)], took, 1) == 106.0
    assert progress.seconds_left(states, [Running("fast", 1, 4.0, 0.5)], took, 1) == 104.0
    assert progress.seconds_left(states, [Running("fast", 1, 50.0, 0.5)], took, 4) == 50.0
    assert progress.seconds_left(states, [Running("fast", 1, 50.0)], {}, 1) is None
    assert progress.seconds_left(states, [Running("fast", 1, 9.0, 0.1)], {}, 1) == pytest.approx(
        171
    )


def test_a_running_trial_is_read_from_the_end_of_its_metrics(tmp_path):
    assert progress.reading(tmp_path) == (None, None)
    store.write_json(tmp_path / "config.json", {"train": {"epochs": 8.0, "max_steps": 0}})
    lines = [{"step": i, "epoch": i / 100, "split": "train", "images_per_second": 50.0 + i,
              "filler": "x" * 100} for i in range(1, 401)]  # fmt: skip
    lines.append({"step": 400, "epoch": 4.0, "split": "test", "top1": 0.5})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 401, "epo'
    (tmp_path / "metrics.jsonl").write_text(text)
    assert progress.reading(tmp_path) == (0.5, 450.0)
    store.write_json(tmp_path / "config.json", {"train": {"epochs": 8.0, "max_steps": 500}})
    assert progress.reading(tmp_path) == (0.8, 450.0)


@pytest.fixture
def study(tmp_path):
    """A registered study of two arms and eight seeds, and its jobs."""
    root = tmp_path / "s"
    described = store.register(root, simulated.described(16))
    waiting, _ = runner._jobs(root, described, Console(file=io.StringIO()))
    return root, described, waiting


def said(root) -> str:
    console = Console(file=io.StringIO(), width=80)
    status.show(root, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_status_follows_a_driver_through_its_note(study):
    root, described, jobs = study
    again = "inception-jax study folder --workdir 'a b'"
    assert "interrupted; to go on: inception-jax study folder --workdir" in said(root)
    watched = Board(Console(file=io.StringIO()), jobs, [], 2, root, described.title, again)
    with lock.hold(root), watched:
        watched(Event(jobs[0], "started"))
        watched(Event(jobs[1], "started"))
        (jobs[1].folder / "metrics.jsonl").write_text('{"step": 1, "epoch": 0.5}\n')
        simulated.write(jobs[0], 0.9)
        watched(Event(jobs[0], "done", seconds=10.0))
        watched._note(force=True)
        text = said(root)
        assert "1 of 16 trials done · 1 running" in text
        assert "0: " in text
        assert "about " in text
        assert text.splitlines()[-1].startswith("running;")
        assert max(map(len, text.splitlines())) <= 80
        watched(Event(jobs[1], "failed", "out of memory"))
        store.write_json(jobs[1].folder / "failure.json", {"reason": "out of memory"})
    text = said(root)
    assert f"{jobs[1]} failed: out of memory ({jobs[1].folder / 'log.txt'})" in text
    assert f"to go on: {again}" in text
    for job in jobs:
        simulated.write(job, 0.9)
    assert said(root).splitlines()[-1] == f"finished; the report: {root / 'report.html'}"


def test_a_driver_that_was_killed_is_not_taken_for_alive(study):
    root, described, jobs = study
    watched = Board(Console(file=io.StringIO()), jobs, [], 2, root, described.title)
    with lock.hold(root):
        watched(Event(jobs[0], "started"))
        assert "1 running" in said(root)
    assert "interrupted (last sign of life 0 s ago)" in said(root)
    note = store.read_json(root / board.FILE)
    elsewhere = note | {"host": "another"}
    store.write_json(root / board.FILE, elsewhere)  # whose processes cannot be seen from here
    assert "1 running" in said(root)
    store.write_json(root / board.FILE, elsewhere | {"updated": time.time() - 3600})
    assert "interrupted (last sign of life 1 h 0 min ago)" in said(root)
    with lock.hold(root):  # one that writes no note
        assert said(root).splitlines()[-1].startswith("running;")


@pytest.mark.parametrize(
    "note",
    [
        [],
        {"running": 3, "spared": {"a": 1}, "took": [], "slots": -1, "updated": "now"},
        {"running": [{"arm": "../..", "seed": 0, "begun": 0}, {"arm": [], "seed": 0}]},
        {"running": [{"arm": "rate_0", "seed": 10**30, "begun": 1e300}], "updated": 9e11},
        {"spared": [["rate_0", 0], [[], 1], 4], "took": {"x": ["y", -1, 1e300]}, "slots": 1e300},
        {"again": "rm -rf ~", "ended": {"a": 1}},
        {"again": "inception-jax study x'", "begun": True},
    ],
)
def test_a_note_is_data_whatever_it_holds(study, note):
    root, _, _ = study
    store.write_json(root / board.FILE, note)
    assert "rm -rf" not in said(root)


def test_a_command_in_a_note_is_quoted_before_it_is_shown(study):
    root, _, _ = study
    again = "inception-jax study x; rm -rf ~ $(id)"
    store.write_json(root / board.FILE, {"again": again})
    assert "inception-jax study 'x;' rm -rf '~' '$(id)'" in said(root)


def test_status_opens_no_more_files_for_more_trials(tmp_path, monkeypatch):
    opened = []

    def counted(path, original=store.read_json):
        opened.append(path)
        return original(path)

    monkeypatch.setattr(store, "read_json", counted)
    counts = []
    for trials in (16, 64):
        root = tmp_path / str(trials)
        described = store.register(root, simulated.described(trials))
        for job in runner._jobs(root, described, Console(file=io.StringIO()))[0]:
            simulated.write(job, 0.9)
        opened.clear()
        status.read(root)
        counts.append(len(opened))
    assert 0 < counts[0] == counts[1] < 10


def test_status_of_all_studies_is_a_line_each(study, tmp_path, capsys):
    _, described, _ = study
    other = tmp_path / "t"
    store.register(other, described)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{}")
    assert main(["study", "all", "--status", "--workdir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-1:]] == ["t"]
    assert "0 of 16 trials done · interrupted" in lines[-1]
    assert main(["study", "all", "--status", "--workdir", str(tmp_path / "no")]) == 1
    assert "holds no studies" in capsys.readouterr().err


def test_status_of_no_study_is_one_clear_line(tmp_path, capsys):
    assert main(["study", "smoothing", "--status", "--workdir", str(tmp_path)]) == 1
    assert "holds no study" in capsys.readouterr().err
    assert main(["study", "smothing", "--status"]) == 2
    assert "did you mean 'smoothing'" in capsys.readouterr().err


def test_status_does_not_import_jax(study):
    root, _, _ = study
    code = (
        "import sys; from inception_jax.cli import main; "
        f"main(['study', 'factorization', '--status', '--workdir', {str(root)!r}]); "
        "print(sorted({'jax', 'scipy', 'matplotlib', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_an_interrupted_study_says_how_to_go_on_and_status_repeats_it(tmp_path):
    described = dataclasses.replace(simulated.described(16), seeds=2)

    def stop(job: Job) -> float:
        if job.seed == 1:
            raise KeyboardInterrupt
        return 0.9

    again = "inception-jax study folder --seeds 2"
    with pytest.raises(Interrupted, match=f"finished trials are kept. To go on: {again}"):
        runner.run_study(
            described, tmp_path / "s", simulated.Simulated(stop), Console(file=io.StringIO()),
            again, lambda *_: None,
        )  # fmt: skip
    assert f"to go on: {again}" in said(tmp_path / "s")
    with pytest.raises(errors.UserError, match="holds no study"):
        status.read(tmp_path)

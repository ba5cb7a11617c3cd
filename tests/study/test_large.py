"""The work of a study's own grows with its trials, not with their square."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from inception_jax.bench import folder as simulated
from inception_jax.cli import main
from inception_jax.study import live, report, runner, stats, store, tables
from inception_jax.study.board import Board
from inception_jax.study.definition import Study
from inception_jax.study.launch import Event, Job
from inception_jax.study.store import Trial

STUDY = os.path.dirname(tables.__file__)


def lines_run(work: Callable[[], object]) -> int:
    """Lines of `inception_jax.study` that are executed, counted instead of timed."""
    count = 0

    def local(frame, event, argument):
        nonlocal count
        count += event == "line"
        return local

    def enter(frame, event, argument):
        return local if frame.f_code.co_filename.startswith(STUDY) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def linear(counts: list[int]) -> bool:
    """Whether counts at n, 2 n and 4 n grow as n does."""
    few, more, most = counts
    return most - more < 2.3 * (more - few)


def results(study: Study) -> list[Trial]:
    """Every trial of a study, done, without its folder."""
    record = {"seconds": 1.0, "steps": 10, "commit": "a", "machine": {"cores": 1}}
    return [
        Trial(arm.name, seed, "done", {"test_top1": 0.5}, {**record, "params_sha256": arm.name})
        for arm in study.arms
        for seed in range(study.seeds)
    ]


def test_twice_the_trials_are_twice_the_work_of_a_table(tmp_path, monkeypatch):
    compared = stats.compare([0.1, 0.2, 0.4], [0.0, 0.0, 0.0])
    monkeypatch.setattr(stats, "compare", lambda *_: compared)
    monkeypatch.setattr(stats, "interval", lambda _: (0.0, 1.0))
    counts = []
    for trials in (400, 800, 1600):
        study = simulated.described(trials)
        monkeypatch.setattr(store, "read_study", lambda root, study=study: study)
        monkeypatch.setattr(store, "read_trials", lambda root, study: results(study))
        counts.append(lines_run(lambda: tables.summarise(tmp_path)))
    assert linear(counts), counts


def test_twice_the_trials_are_twice_the_work_of_watching(tmp_path):
    counts = []
    for trials in (400, 800, 1600):
        arms = [f"arm_{i}" for i in range(trials // 8)]
        jobs = [Job(arm, seed, tmp_path) for seed in range(8) for arm in arms]

        def follow(jobs=jobs):
            board = Board(Console(file=io.StringIO()), jobs, [], 4)
            for job in jobs:
                board(Event(job, "started"))
                board(Event(job, "done", seconds=1.0))
            live.table(board.snapshot())

        counts.append(lines_run(follow))
    assert linear(counts), counts


def test_each_file_of_a_trial_is_read_a_fixed_number_of_times(tmp_path, monkeypatch):
    read: list[object] = []
    original = store.read_json
    monkeypatch.setattr(store, "read_json", lambda path: read.append(path) or original(path))
    monkeypatch.setattr(report, "write", lambda root: (tables.summarise(root), root))
    monkeypatch.setattr("inception_jax.study.terminal.show", lambda *_: None)
    counts = []
    for trials in (16, 32, 64):
        read.clear()
        study, root = simulated.described(trials), tmp_path / str(trials)
        for _ in range(2):  # it runs, and finds everything there
            runner.run_study(
                study, root, simulated.Simulated(), Console(file=io.StringIO()),
                count=lambda *_: None,
            )  # fmt: skip
        counts.append(len(read))
    few, more, most = counts
    assert most - more == 2 * (more - few), counts


@pytest.mark.slow
def test_bench_folder_prints_what_it_measured(capsys):
    assert main(["bench", "folder", "--trials", "16"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("16 simulated trials")
    assert all(part in text for part in ("run", "resume", "report", "status"))

"""Runs a study from its name to its report; what is there already is not run again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from inception_jax import errors
from inception_jax.study import (
    costs,
    definition,
    launch,
    lock,
    rebuilding,
    remote,
    search,
    store,
    sync,
    tracking,
)
from inception_jax.study import early as early_lib
from inception_jax.study import needs as needs_lib
from inception_jax.study.board import Board
from inception_jax.study.definition import Study
from inception_jax.study.launch import Event, Interrupted, Job, Launcher
from inception_jax.study.progress import duration


class TrialsFailed(errors.UserError):
    """Some trials failed twice; the report was written without them.

    Attributes:
        report: path of the report's page.
    """

    def __init__(self, message: str, report: Path) -> None:
        super().__init__(message)
        self.report = report


def default_workdir(name: str, data: str | None = None, scale: str = "default") -> Path:
    """runs/NAME[-DATA][-SCALE]."""
    parts = [name, *([data] if data else []), *([scale] if scale != "default" else [])]
    return Path("runs") / "-".join(parts)


def run(
    name: str,
    workdir: str | Path | None = None,
    data: str | None = None,
    seeds: int | None = None,
    scale: str = "default",
    launcher: str = "local",
    *,
    jobs: int | None = None,
    needs: str | None = None,
    time_limit: float | None = None,
    address: str | None = None,
    slurm: str | None = None,
    early: bool = False,
    track: str | None = None,
    console: Console | None = None,
) -> Path:
    """Runs the study `experiments/NAME.py` and writes its report.

    Args:
        name: of the study.
        workdir: the study's folder, or its URL as s3://bucket/folder; `default_workdir` where it
            is None.
        data: another data set than the study's own.
        seeds: another number of seeds than the study's own.
        scale: "smoke", "default" or "paper".
        launcher: a name of `launch.LAUNCHERS`.
        jobs: trials at once; None is what the machine, or the cluster, serves best.
        needs: what each process of a trial is given, as "cpus=2,gpus=1,processes=2"; see `Needs`.
        time_limit: seconds after which an attempt at a trial is ended and counts as failed.
        address: of the Ray cluster for "ray"; None starts one on this machine.
        slurm: sbatch's parameters for "slurm", as "partition=gpu,account=vision".
        track: trackers to tell of each finished trial, as "tensorboard,mlflow"; see `tracking`.
        early: stop arms whose questions a look has settled, by the rule in the study's file.
        console: where to print.

    Returns:
        Path of `report.html`.

    Raises:
        UsageError: an unknown name, data set, scale or launcher, or a number out of range.
        UserError: the folder holds another study or another driver, or the data is missing.
        Interrupted: the user stopped it.
        TrialsFailed: the report is written, but some trials have no result.
    """
    for option, value in (("--seeds", seeds), ("--jobs", jobs), ("--time-limit", time_limit)):
        if value is not None and not value >= 1:
            raise errors.UsageError(f"{option} must be at least 1, got {value}")
    study = definition.load(name, scale, data)
    if data is not None and data == definition.load(name, scale).data:
        data = None  # the study's own: the same folder and command as without
    if early and study.early is None:
        raise errors.UsageError(f"study {study.name!r} has no rule for early decisions (--early)")
    study = study if early else dataclasses.replace(study, early=None)
    if seeds is not None:
        study = study.with_seeds(seeds)
    root = workdir if workdir is not None else default_workdir(study.name, data, scale)
    options = {"workdir": workdir, "data": data, "seeds": seeds}
    options |= {"scale": scale if scale != "default" else None, "jobs": jobs}
    options |= {"launcher": launcher if launcher != "local" else None}
    options |= {"needs": needs, "time_limit": time_limit, "address": address, "slurm": slurm}
    options |= {"early": early or None, "track": track}
    given: dict[str, Any] = {"needs": needs_lib.parse(needs), "time_limit": time_limit}
    for option, value, owner in (("address", address, "ray"), ("slurm", slurm, "slurm")):
        if launcher == owner:
            given[option] = value
        elif value is not None:
            raise errors.UsageError(f"--{option} goes with --launcher {owner}")
    trackers = tracking.parse(track)
    chosen = launch.create(launcher, jobs=jobs, memory_gb=study.memory_gb, **given)
    again = command(name, options)
    return run_study(study, root, chosen, console or Console(), again, track=trackers)


def command(name: str, options: dict[str, Any]) -> str:
    """The command line that goes on with a study."""
    words = ["inception-jax", "study", name]
    for key, value in options.items():
        if value is not None:
            words.append(f"--{key.replace('_', '-')}")
        if value is not None and value is not True:
            words.append(f"{value:g}" if isinstance(value, float) else str(value))
    return shlex.join(words)


def run_study(
    study: Study,
    root: str | Path,
    launcher: Launcher,
    console: Console,
    again: str = "",
    count: Callable[[Path, Study], None] = costs.count,
    track: Sequence[str] = (),
) -> Path:
    """Runs what is missing of `study` in `root` and writes the report; see `run`.

    Args:
        study: any study, also one without a file in `experiments/`.
        root: its folder, or the URL of one in a store that fsspec reaches.
        launcher: runs the trials.
        console: where to print.
        again: the command that goes on with the study, for messages.
        count: counts the arms' costs.
        track: names of `tracking.TRACKERS`.
    """
    again = again or f"inception-jax study {study.name} --workdir {root}"
    url = str(root).rstrip("/") if remote.is_url(root) else ""
    there = remote.Remote(url) if url else None
    root = remote.mirror(url) if url else Path(root)
    with lock.hold(root, there) as held, contextlib.closing(launcher):
        if there:
            there.pull(root)
        asked, study = study.seeds, store.register(root, study)
        if study.seeds > asked:
            console.print(
                f"{root} holds results of {study.seeds} seeds; going on with {study.seeds}",
                highlight=False,
            )
        if there:
            there.push(root)
        tuned = _tuned(root, study, launcher, console, again, url, held)
        missing, done = _jobs(root, tuned, console, url)
        waiting = early_lib.still_needed(root, tuned, missing)
        with rebuilding.Rebuilder(root) as pages:
            told = tracking.Tracking(root, tuned, track, console)
            told.catch_up(done)
            others = [held, pages, told]
            others += [sync.Publisher(there, root)] if there else []
            failed: list[Event] = []
            if waiting:
                failed = _launch(root, tuned, waiting, done, launcher, console, again, others)
        if done and not waiting:
            console.print(f"all {len(done)} trials are there already", highlight=False)
        count(root, study)
        page = _finish(root, console)
        if there:
            there.push(root)
    if failed:
        reasons = "; ".join(f"{event.job}: {event.reason}" for event in failed[:3])
        raise TrialsFailed(
            f"{len(failed)} of {len(waiting) + len(done)} trials failed twice ({reasons}); the "
            f"table leaves them out; to try them again: {again}",
            page,
        )
    return page


def _tuned(
    root: Path,
    study: Study,
    launcher: Launcher,
    console: Console,
    again: str,
    url: str,
    held: Callable[[Event | None], None],
) -> Study:
    """The study with what its search chose, which runs first where it has not been made."""
    if study.search is None:
        return study
    choice = search.read(root)
    if choice is None:
        console.print(f"search of {study.search.key} on the validation split", highlight=False)
        folder = root / search.FOLDER
        phase = store.register(folder, search.phase(study))
        waiting, done = _jobs(folder, phase, console, url)
        if waiting:
            _launch(folder, phase, waiting, done, launcher, console, again, (held,))
        choice = search.choose(root, study)
    return search.apply(study, choice)


def _jobs(root: Path, study: Study, console: Console, url: str = "") -> tuple[list[Job], list[Job]]:
    """What is to run, seed by seed so that pairs complete early, and what is done."""
    configs = store.arm_configs(study)
    waiting: list[Job] = []
    done: list[Job] = []
    for seed in range(study.seeds):
        for arm, config in configs.items():
            folder, trial = store.prepare(root, config, arm, seed)
            (done if trial.state == "done" else waiting).append(Job(arm, seed, folder, url))
            if trial.state in ("broken", "foreign"):
                console.print(
                    f"{arm} seed {seed}: {trial.reason}; set aside, runs again",
                    style="yellow",
                    highlight=False,
                    markup=False,
                )
    return waiting, done


def _launch(
    root: Path,
    study: Study,
    waiting: Sequence[Job],
    done: Sequence[Job],
    launcher: Launcher,
    console: Console,
    again: str,
    others: Sequence[Callable[[Event | None], None]] = (),
) -> list[Event]:
    before = f", {len(done)} done before" if done else ""
    console.print(f"{len(waiting)} trials to run{before}; {launcher.describe()}", highlight=False)
    board = Board(console, waiting, done, launcher.slots(), root, study.title, again)

    def report(event: Event | None) -> None:
        for follow in (board, *others):
            follow(event)

    try:
        with _terminable():
            _check(waiting, launcher, console)
            with board:
                for wave in early_lib.waves(root, study, waiting, board.spare):
                    for stage in _stages(wave):
                        launcher.launch(stage, report)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; finished trials are kept. To go on: {again}") from None
    return board.failures


def _stages(waiting: Sequence[Job]) -> list[list[Job]]:
    """What trains, then what evaluates it."""

    def evaluates(job: Job) -> bool:
        return bool(store.read_json(job.folder / store.CONFIG_FILE)["eval"]["members"])

    stages = ([job for job in waiting if evaluates(job) == later] for later in (False, True))
    return [stage for stage in stages if stage]


def _check(waiting: Sequence[Job], launcher: Launcher, console: Console) -> None:
    """Once for each data set among the jobs: a mistake shows once, not in every trial."""
    first: dict[str, Job] = {}
    for job in waiting:
        data = store.read_json(job.folder / store.CONFIG_FILE)["data"]
        key = json.dumps([data[name] for name in ("name", "dir", "options")])
        first.setdefault(key, job)
    for job in first.values():
        log = job.folder / "log.txt"
        before = log.stat().st_size if log.exists() else 0
        problem = launcher.check(job)
        if problem:
            raise errors.UserError(problem.removeprefix("error: "))
        said = log.read_bytes()[before:] if log.exists() else b""
        for line in said.decode(errors="replace").splitlines():
            if line.startswith("prepared "):  # with the licence, which the user must get to see
                console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Within it SIGTERM ends the study as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _finish(root: Path, console: Console) -> Path:
    from inception_jax.study import report, terminal

    summary, page = report.write(root)
    terminal.show(summary, console)
    seconds = sum(float(trial.record.get("seconds", 0)) for trial in summary.trials)
    console.print(
        f"{duration(seconds)} of training; report: {page}", highlight=False, soft_wrap=True
    )
    return page

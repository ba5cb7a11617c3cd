"""Measures what a large study's folder costs beside its training, which is left out.

The trials are simulated: they end at once with a result of the usual size. What is timed is the
study's own work, on a study of one question for each arm but the first:

  inception-jax bench folder --trials 1000
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inception_jax.bench import arguments
from inception_jax.study import store
from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.launch import Event, Job

_SEEDS = 8
_CURVE = 10  # evaluations of a trial


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--trials", type=arguments.count, default=1000, help="about so many (default 1000)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def described(trials: int) -> Study:
    """A study of so many trials, eight seeds each, each arm asked to beat the first."""
    names = [f"rate_{index}" for index in range(max(2, -(-trials // _SEEDS)))]
    return Study(
        name="folder",
        title="A large study",
        question="What does its folder cost?",
        base="mnist5k.py",
        data="digits",
        arms=tuple(
            Arm(name, name, {"optim.learning_rate": 0.001 * (index + 1)})
            for index, name in enumerate(names)
        ),
        questions=tuple(
            Question(f"Q{index}", f"{name} beats {names[0]}.", name, names[0])
            for index, name in enumerate(names[1:], start=1)
        ),
        overrides={"data.name": "digits", "data.image_size": 8},
        seeds=_SEEDS,
    )


def top1(job: Job) -> float:
    """An accuracy that depends on arm and seed alone; seeds share part of it."""
    shared = random.Random(job.seed).gauss(0, 0.004)
    arm = random.Random(job.arm).gauss(0, 0.003)
    return 0.9 + shared + arm + random.Random(str(job)).gauss(0, 0.002)


class Simulated:
    """A launcher whose trials end at once; `ran` is every job, in its order."""

    def __init__(self, value: Callable[[Job], float] = top1) -> None:
        self.ran: list[Job] = []
        self._value = value

    def slots(self) -> int:
        """As many trials at once as a small machine has cores."""
        return 4

    def describe(self) -> str:
        """What it is."""
        return "simulated"

    def check(self, job: Job) -> str:
        """Prepares nothing."""
        return ""

    def close(self) -> None:
        """Holds nothing."""

    def launch(self, jobs: Sequence[Job], report: Callable[[Event | None], None]) -> None:
        """Writes the result of each job."""
        for job in jobs:
            self.ran.append(job)
            report(Event(job, "started"))
            write(job, self._value(job))
            report(Event(job, "done", seconds=0.1))
            report(None)


def write(job: Job, value: float) -> None:
    """Leaves what a trial leaves: a curve, a log and a result."""
    config = store.read_json(job.folder / store.CONFIG_FILE)
    lines = [
        {"step": 10 * i, "epoch": i / 2, "split": "test", "top1": value * (1 - 0.5 / i)}
        for i in range(1, _CURVE + 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (job.folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    (job.folder / "log.txt").write_text("simulated\n", encoding="utf-8")
    content: dict[str, Any] = {
        "config": config,
        "metrics": {"test_top1": value, "test_loss": 1 - value, "validation_top1": value},
        "steps": 10 * _CURVE,
        "params_sha256": hashlib.sha256(str(job).encode()).hexdigest(),
        "seconds": 1.0,
        "versions": {"python": "3"},
        "commit": "0" * 40,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "machine": {"cpu": "simulated", "cores": 1},
    }
    store.write_json(job.folder / store.RESULT_FILE, content)


def measure(trials: int, root: Path) -> dict[str, float]:
    """Seconds of each part of a study of so many simulated trials in `root`."""
    from rich.console import Console

    from inception_jax.study import report, runner, status

    study = described(trials)
    console = Console(file=io.StringIO())

    def timed(work: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        work()
        return round(time.perf_counter() - begun, 2)

    def run() -> Path:
        return runner.run_study(study, root, Simulated(), console, count=lambda *_: None)

    return {
        "run": timed(run),
        "resume": timed(run),
        "report": timed(lambda: report.build(root)),
        "status": timed(lambda: status.show(root, console)),
    }


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(args.trials, Path(folder) / "study")
    trials = _SEEDS * len(described(args.trials).arms)
    content = {"measure": "folder", "trials": trials, "seconds": seconds}
    if args.format == "json":
        print(json.dumps(content, indent=2))
        return
    print(f"{trials} simulated trials, in seconds of one process:")
    for part, value in seconds.items():
        print(f"  {part:<8} {value:.2f}")

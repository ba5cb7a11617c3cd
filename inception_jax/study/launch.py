"""What a launcher is, which there are, and the rules that all of them share: order, retry, stop.

A launcher runs jobs and reports what happens to them; it never decides what a result is worth.
`ray` and `slurm` are added as another entry of `LAUNCHERS`.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from inception_jax import errors
from inception_jax.study import store

ATTEMPTS = 2  # a trial that fails is run once more, then reported

LAUNCHERS: dict[str, str] = {"local": "inception_jax.study.local:Local"}


@dataclass(frozen=True)
class Job:
    """One trial to run.

    Attributes:
        arm: name of its arm.
        seed: its seed.
        folder: where its `config.json` lies and its `result.json` will.
    """

    arm: str
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes:
        job: the job.
        kind: "started", "done", "retried" (this attempt failed, another follows) or "failed".
        reason: of a failure, in one line.
        seconds: how long the attempt took.
        process: id of the process that was started, for those who watch.
    """

    job: Job
    kind: Literal["started", "done", "retried", "failed"]
    reason: str = ""
    seconds: float = 0.0
    process: int = 0


class Interrupted(errors.UserError):
    """The user stopped the study; the message tells how to go on."""

    exit_code = 130


class Launcher(Protocol):
    """Runs jobs until each is done or has failed `ATTEMPTS` times."""

    def slots(self) -> int:
        """How many trials run at once."""
        ...

    def describe(self) -> str:
        """The choice that was made for this machine, in one line."""
        ...

    def check(self, job: Job) -> str:
        """Does once what all trials need, such as preparing the data; "" or what went wrong."""
        ...

    def launch(self, jobs: Sequence[Job], report: Callable[[Event | None], None]) -> None:
        """Runs `jobs` in this order and reports every event; None is a sign of life.

        Raises:
            KeyboardInterrupt: after every process it started has ended.
        """
        ...


def create(name: str, **options: Any) -> Launcher:
    """The launcher of that name.

    Raises:
        UsageError: unknown name; the message names the nearest known one.
    """
    if name not in LAUNCHERS:
        raise errors.unknown("launcher", name, LAUNCHERS)
    module, _, attribute = LAUNCHERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(**options)


def outcome(job: Job, code: int | None) -> str:
    """Why an attempt that ended with this exit code failed; "" if it left a valid result."""
    trial = store.read_trial(job.folder, job.arm, job.seed, store.read_json(_config(job)))
    if trial.state == "done":
        return ""
    if code is None:
        return "it ran past the time limit"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    if code > 0:
        return last_line(job.folder / "log.txt") or f"exit code {code}"
    return trial.reason if trial.state != "missing" else f"it left no {store.RESULT_FILE}"


def _config(job: Job) -> Path:
    return job.folder / store.CONFIG_FILE


def last_line(path: Path, limit: int = 300) -> str:
    """The last line of a log that is not empty, cut to `limit` characters."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:limit] for line in reversed(lines) if line.strip()), "")


def note_failure(job: Job, reason: str, attempt: int) -> None:
    """Leaves the reason in the trial's folder, for reports that are built from it later."""
    store.write_json(job.folder / store.FAILURE_FILE, {"reason": reason, "attempt": attempt})
    broken = job.folder / store.RESULT_FILE
    if broken.exists():
        broken.replace(job.folder / f".{store.RESULT_FILE}.aside-attempt-{attempt}")


def clear_failure(job: Job) -> None:
    """Removes the note of an earlier attempt."""
    (job.folder / store.FAILURE_FILE).unlink(missing_ok=True)

"""What a launcher is, and which there are.

A launcher runs jobs and reports what happens to them; it never decides what a result is worth.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from inception_jax import errors

LAUNCHERS: dict[str, str] = {
    "local": "inception_jax.study.local:Local",
    "ray": "inception_jax.study.on_ray:OnRay",
    "slurm": "inception_jax.study.on_slurm:OnSlurm",
}


@dataclass(frozen=True)
class Job:
    """One trial to run.

    Attributes:
        arm: name of its arm.
        seed: its seed.
        folder: where its `config.json` lies and its `result.json` will.
        url: of the study's folder, where `folder` only mirrors it.
    """

    arm: str
    seed: int
    folder: Path
    url: str = ""

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
        process: id of the process that was started, for those who watch; 0 where it is on another
            machine.
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
    """Runs jobs until each is done or has failed `attempt.ATTEMPTS` times."""

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

    def close(self) -> None:
        """Lets go of what the launcher holds; it runs nothing more."""
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

"""What runs inside a SLURM job: one process of a trial, watched, stopped and requeued.

A job that is preempted, or whose minutes are nearly over, gets a signal. The trial's process is
told, saves a checkpoint and ends with exit code 75. After SIGUSR2, submitit's signal, the job
requeues itself and keeps its place; after SIGTERM alone it leaves the exit code to the driver, who
submits it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

from inception_jax import errors
from inception_jax.study import child, exits, files
from inception_jax.study.child import Child, Work
from inception_jax.study.exits import Exit
from inception_jax.study.machine import Slot

_SAVE_SECONDS = 60.0  # for a checkpoint, of the 90 that submitit leaves before the end of a job
_SIBLING_SECONDS = 1.0


class Notes:
    """The files TOKEN.RANK.* in the launcher's folder, by which job and driver talk."""

    def __init__(self, folder: Path, token: str) -> None:
        self._folder, self._token = folder, token

    def _path(self, rank: int, kind: str) -> Path:
        return self._folder / f"{self._token}.{rank}.{kind}.json"

    def begin(self, rank: int) -> None:
        """Says that a process begins, again perhaps."""
        self._path(rank, "exit").unlink(missing_ok=True)
        files.write_json(self._path(rank, "begun"), {"process": os.getpid()})

    def begun(self) -> bool:
        """Whether the first process has begun."""
        return self._path(0, "begun").exists()

    def end(self, rank: int, ended: Exit) -> None:
        """Says how a process ended."""
        content = {**json.loads(ended.to_json()), "life": _life()}
        files.write_json(self._path(rank, "exit"), content)

    def exit(self, rank: int, life: str = "") -> Exit | None:
        """How a process ended; None where that is not known, or not of this life of the job."""
        content = files.read_json(self._path(rank, "exit"))
        if content is None:
            return None
        if life and isinstance(content, dict) and content.get("life") != life:
            return None
        try:
            return exits.from_json(json.dumps(content))
        except ValueError:
            return Exit(reason="its job left no valid exit")

    def clear(self, count: int) -> None:
        """Removes the notes of so many processes."""
        for rank in range(count):
            for kind in ("begun", "exit"):
                self._path(rank, kind).unlink(missing_ok=True)

    def exits(self, count: int) -> list[Exit]:
        """How all processes ended; empty where some have not."""
        found = [self.exit(rank) for rank in range(count)]
        return [] if None in found else [one for one in found if one is not None]


class Worker:
    """Called by submitit in each task of a job."""

    def __init__(
        self, work: Work, folder: str, token: str, devices: int, accelerated: bool
    ) -> None:
        self._given = (work, folder, token, devices, accelerated)
        self._child: Child | None = None

    def __call__(self) -> None:
        """Runs the task's process and notes how it ended."""
        import submitit  # pyright: ignore[reportMissingImports]

        work, folder, token, devices, accelerated = self._given
        environment = submitit.JobEnvironment()
        rank, notes = environment.global_rank, Notes(Path(folder), token)
        notes.begin(rank)
        share = Slot(devices=devices, accelerated=accelerated)
        self._child = Child(work, [share], rank, _coordinator(environment, work.processes))
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            ended = self._wait(notes, rank, work.processes)
        except BaseException:
            self._child.end()
            raise
        notes.end(rank, ended)

    def _wait(self, notes: Notes, rank: int, processes: int) -> Exit:
        assert self._child is not None
        looked = time.monotonic()
        while (ended := self._child.poll()) is None:
            time.sleep(child.POLL_SECONDS)
            if processes == 1 or time.monotonic() - looked < _SIBLING_SECONDS:
                continue
            looked = time.monotonic()
            others = (notes.exit(other, _life()) for other in range(processes) if other != rank)
            stopped = errors.Interrupted.exit_code  # then this one is about to stop as well
            if any(one and (one.reason or one.code not in (0, stopped)) for one in others):
                self._child.end()
                return Exit(reason=exits.FOLLOWED, rank=rank)
        return ended

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._child is not None:
            self._child.ask()

    def checkpoint(self) -> Any:
        """Called by submitit on its signal: the trial saves and stops, the job is requeued."""
        import submitit  # pyright: ignore[reportMissingImports]

        if self._child is not None:
            self._child.ask()
            deadline = time.monotonic() + _SAVE_SECONDS
            while self._child.poll() is None and time.monotonic() < deadline:
                time.sleep(child.POLL_SECONDS)
            with contextlib.suppress(OSError):
                self._child.end(0.0)
        return submitit.helpers.DelayedSubmission(Worker(*self._given))


def _coordinator(environment: Any, processes: int) -> str:
    """Where the processes of a trial meet: the same on all of them, without a word between them."""
    if processes == 1:
        return ""
    several = environment.num_nodes > 1
    host = environment.hostnames[0] if several else "127.0.0.1"
    meeting = f"{environment.job_id}.{_life()}"
    return f"{host}:{10_000 + zlib.crc32(meeting.encode()) % 20_000}"


def _life() -> str:
    """How often the job was requeued, which keeps its place and its number."""
    return os.environ.get("SLURM_RESTART_COUNT", "0")

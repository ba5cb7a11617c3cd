"""The local launcher: one process a trial, as many at once as the machine serves best."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from inception_jax.study import launch, machine
from inception_jax.study.launch import Event, Job
from inception_jax.study.machine import Slot

TRIAL_COMMAND = (sys.executable, "-m", "inception_jax.study.trial")
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL


@dataclass
class _Running:
    job: Job
    attempt: int
    slot: Slot
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float


class Local:
    """Runs trials on this machine, each in its own process group and pinned to its cores."""

    def __init__(
        self,
        jobs: int | None = None,
        memory_gb: float = 1.5,
        command: Sequence[str] = TRIAL_COMMAND,
        time_limit: float | None = None,
    ) -> None:
        """Plans for this machine.

        Args:
            jobs: how many trials at once; None is what the machine serves best.
            memory_gb: what one trial needs at its peak.
            command: the trial's command line; the trial's folder is appended.
            time_limit: seconds after which an attempt is ended and counts as failed.
        """
        self._slots, self._reason = machine.plan(jobs, memory_gb)
        self._command = tuple(command)
        self._time_limit = time_limit

    def slots(self) -> int:
        """How many trials run at once."""
        return len(self._slots)

    def describe(self) -> str:
        """The choice that was made for this machine."""
        return self._reason

    def check(self, job: Job) -> str:
        """Prepares the data once, before trials would do so side by side."""
        if self._command != TRIAL_COMMAND:
            return ""
        running = self._start(job, 0, Slot(), ("--prepare",))
        try:
            code = running.process.wait()
        except BaseException:
            _end([running])
            raise
        running.log.close()
        if not code:
            return ""
        return launch.last_line(job.folder / "log.txt") or f"exit code {code}"

    def launch(self, jobs: Sequence[Job], report: Callable[[Event | None], None]) -> None:
        """Runs the jobs; see `launch.Launcher`."""
        waiting = deque((job, 1) for job in jobs)
        free = list(reversed(self._slots))
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and free:
                    job, attempt = waiting.popleft()
                    running.append(self._start(job, attempt, free.pop()))
                    report(Event(job, "started", process=running[-1].process.pid))
                time.sleep(_POLL_SECONDS)
                for trial in [trial for trial in running if self._ended(trial)]:
                    running.remove(trial)
                    free.append(trial.slot)
                    event = _settle(trial)
                    if event.kind == "retried":
                        waiting.append((trial.job, trial.attempt + 1))
                    report(event)
                report(None)
        finally:
            _end(running)

    def _start(self, job: Job, attempt: int, slot: Slot, more: tuple[str, ...] = ()) -> _Running:
        log = (job.folder / "log.txt").open("ab")
        environment = machine.environment(slot, os.environ)
        environment["INCEPTION_JAX_DRIVER"] = str(os.getpid())
        process = subprocess.Popen(
            [*self._command, *more, str(job.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which then ends its trials
        )
        if slot.cores and hasattr(os, "sched_setaffinity"):
            _pin(process.pid, slot.cores)
        return _Running(job, attempt, slot, process, log, time.monotonic())

    def _ended(self, trial: _Running) -> bool:
        if trial.process.poll() is not None:
            return True
        late = self._time_limit and time.monotonic() - trial.started > self._time_limit
        if late:
            _kill(trial, signal.SIGKILL)
            trial.process.wait()
            trial.process.returncode = _LATE
        return bool(late)


_LATE = 1 << 20  # stands for "past the time limit": no exit code is that large


def _pin(process: int, cores: tuple[int, ...]) -> None:
    try:
        os.sched_setaffinity(process, cores)
    except (ProcessLookupError, PermissionError, OSError):
        return  # it has ended already, or the machine forbids it: then it is merely not pinned


def _settle(trial: _Running) -> Event:
    """The event of an attempt that has ended; whatever it left running is ended too."""
    _kill(trial, signal.SIGKILL)
    trial.log.close()
    seconds = time.monotonic() - trial.started
    code = trial.process.returncode
    reason = launch.outcome(trial.job, None if code == _LATE else code)
    if not reason:
        launch.clear_failure(trial.job)
        return Event(trial.job, "done", seconds=seconds)
    launch.note_failure(trial.job, reason, trial.attempt)
    kind = "retried" if trial.attempt < launch.ATTEMPTS else "failed"
    return Event(trial.job, kind, reason, seconds)


def _kill(trial: _Running, number: signal.Signals) -> None:
    try:
        os.killpg(trial.process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _end(running: list[_Running]) -> None:
    """Ends what still runs: asks first, then insists."""
    for trial in running:
        _kill(trial, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    for trial in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            trial.process.wait(max(0.0, deadline - time.monotonic()))
        _kill(trial, signal.SIGKILL)
        trial.process.wait()
        trial.log.close()

"""Attempts at trials: what every launcher shares, from the first start to the last retry."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypedDict, TypeVar

from inception_jax import errors
from inception_jax.study import child, files, lock, store, sync, untrusted
from inception_jax.study.child import Work
from inception_jax.study.exits import Exit
from inception_jax.study.launch import Event, Job
from inception_jax.study.needs import Needs

ATTEMPTS = 2  # a trial that fails is run once more, then reported
INTERRUPTIONS = 20  # a machine that is lost or wanted back is not the trial's fault; up to here
# a checkpoint was saved; or there was none yet to save
_STOPPED = (errors.Interrupted.exit_code, -signal.SIGTERM)
_SIGHT_SECONDS = 60.0  # until a file of another machine shows on a network disk
_START_SECONDS = 10.0  # between two tries to start what could not be started


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job.

    Attributes:
        job: the job.
        number: from 1; counts what was the trial's fault.
        interruptions: so far; of machines.
    """

    job: Job
    number: int = 1
    interruptions: int = 0


class Handle(Protocol):
    """An attempt that a launcher has started."""

    @property
    def process(self) -> int:
        """Id of its process on this machine; 0 where it runs elsewhere."""
        ...


H = TypeVar("H", bound=Handle)


class Shared(TypedDict, total=False):
    """What every launcher can be given; see `Pool`."""

    jobs: int | None
    memory_gb: float
    needs: Needs | None
    time_limit: float | None
    command: Sequence[str]


@dataclass
class _Running(Generic[H]):
    attempt: Attempt
    handle: H
    told: bool = False


class Pool(abc.ABC, Generic[H]):
    """A launcher: what differs between them is how an attempt is started, looked at and ended."""

    poll_seconds = child.POLL_SECONDS
    tied = True  # whether trials end with the driver

    def __init__(
        self,
        jobs: int | None = None,
        memory_gb: float = 1.5,
        needs: Needs | None = None,
        time_limit: float | None = None,
        command: Sequence[str] = (),
    ) -> None:
        """Settles what each trial gets.

        Args:
            jobs: how many trials at once; None is as many as there is room for.
            memory_gb: what one trial needs at its peak, where `needs` does not say it.
            needs: of each process of a trial.
            time_limit: seconds after which an attempt is ended and counts as failed.
            command: the trial's command line; () is this package's own.
        """
        self._jobs = jobs
        self.needs = needs or Needs()
        self._memory_gb = self.needs.memory or memory_gb
        self._time_limit = time_limit
        self._command = tuple(command)
        self._next_start = 0.0

    @abc.abstractmethod
    def slots(self) -> int:
        """How many trials run at once."""

    @abc.abstractmethod
    def describe(self) -> str:
        """The choice that was made, in one line."""

    @abc.abstractmethod
    def room(self, running: int) -> int:
        """How many attempts can be started beside so many."""

    @abc.abstractmethod
    def start(self, attempts: Sequence[Attempt], works: Sequence[Work]) -> list[H]:
        """Starts attempts."""

    @abc.abstractmethod
    def look(self, handle: H) -> Exit | Literal["waiting", "running"]:
        """Where an attempt stands; called until it has ended."""

    @abc.abstractmethod
    def stop(self, handles: Sequence[H]) -> None:
        """Ends attempts, and returns when none of their processes is left."""

    def adopt(self, jobs: Sequence[Job]) -> list[tuple[Attempt, H]]:
        """Attempts that an earlier driver started and that still run.

        Raises:
            UserError: they may run where this launcher cannot see them.
        """
        folder = jobs[0].folder.parents[2] / files.SLURM_FOLDER
        if any(folder.glob("*.job.json")):
            raise errors.UserError(
                f"jobs of this study may still run on SLURM ({folder}); go on with --launcher "
                "slurm, which takes them over, or end them with scancel and remove that folder"
            )
        return []

    def close(self) -> None:
        """Lets go of what the launcher holds."""

    def check(self, job: Job) -> str:
        """Prepares the data once, before trials would do so side by side; "" or what went wrong."""
        if self._command:
            return ""
        work = dataclasses.replace(
            self._work(job), prepare=True, processes=1, time_limit=None, memory=0.0
        )
        sync.offer(job)
        handles = self.start([Attempt(job)], [work])
        try:
            while not isinstance(ended := self.look(handles[0]), Exit):
                time.sleep(self.poll_seconds)
        except BaseException:
            self.stop(handles)
            raise
        if job.url:
            sync.collect(job)
        return preparation_problem(job, ended)

    def _work(self, job: Job) -> Work:
        return Work(
            folder=sync.trial_path(job) if job.url else str(job.folder.absolute()),
            url=job.url,
            command=self._command,
            time_limit=self._time_limit,
            memory=self.needs.memory,
            processes=self.needs.processes,
            lease=lock.fence(job.folder.parents[2]) if self.tied and not job.url else "",
        )

    def launch(self, jobs: Sequence[Job], report: Callable[[Event | None], None]) -> None:
        """Runs the jobs; see `launch.Launcher`."""
        running = [_Running(attempt, handle) for attempt, handle in self.adopt(jobs)]
        adopted = {trial.attempt.job for trial in running}
        waiting = deque(Attempt(job) for job in jobs if job not in adopted)
        try:
            while waiting or running:
                running += self._begin(waiting, running)
                running = [trial for trial in running if not self._follow(trial, waiting, report)]
                report(None)
                if running or waiting:
                    time.sleep(self.poll_seconds)
        finally:
            self.stop([trial.handle for trial in running])

    def _begin(self, waiting: deque[Attempt], running: Sequence[_Running[H]]) -> list[_Running[H]]:
        """Starts what there is room for; what cannot be started waits while others run.

        Raises:
            UserError: nothing can be started, and nothing runs.
        """
        if time.monotonic() < self._next_start:
            return []
        room = max(0, self.room(len(running)))
        batch = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        if not batch:
            return []
        try:
            for attempt in batch:
                sync.offer(attempt.job)
            handles = self.start(batch, [self._work(attempt.job) for attempt in batch])
        except errors.UserError:  # a scheduler or a store that is out of reach for now
            if not running:
                raise
            waiting.extendleft(reversed(batch))
            self._next_start = time.monotonic() + _START_SECONDS
            return []
        return list(map(_Running, batch, handles))

    def _follow(
        self, trial: _Running[H], waiting: deque[Attempt], report: Callable[[Event | None], None]
    ) -> bool:
        """Reports what has become of an attempt; whether it has ended."""
        state = self.look(trial.handle)
        if state == "waiting":
            return False
        if not trial.told:
            trial.told = True
            report(Event(trial.attempt.job, "started", process=trial.handle.process))
        if not isinstance(state, Exit):
            return False
        event, again = settle(trial.attempt, state)
        if again:
            waiting.append(again)
        report(event)
        return True


def settle(attempt: Attempt, ended: Exit) -> tuple[Event, Attempt | None]:
    """What an attempt's end means, and the attempt that follows, if any."""
    job = attempt.job
    reason = outcome(job, ended)
    if not reason:
        (job.folder / store.FAILURE_FILE).unlink(missing_ok=True)
        sync.note(job)
        return Event(job, "done", seconds=ended.seconds), None
    with contextlib.suppress(OSError):  # a full disk keeps the note, not the driver
        note_failure(job, reason, attempt.number)
        sync.note(job)
    interrupted = ended.lost or ended.code in _STOPPED
    again = None
    if interrupted and attempt.interruptions < INTERRUPTIONS:
        again = dataclasses.replace(attempt, interruptions=attempt.interruptions + 1)
    elif not interrupted and attempt.number < ATTEMPTS:
        again = dataclasses.replace(attempt, number=attempt.number + 1)
    return Event(job, "retried" if again else "failed", reason, ended.seconds), again


def outcome(job: Job, ended: Exit) -> str:
    """Why an attempt failed; "" if it left a valid result."""
    if job.url:
        lost = sync.collect(job, ended.rank)
        if lost:
            return ended.reason or lost
    elif ended.result:
        _await(job.folder / store.RESULT_FILE)
    config = store.read_json(job.folder / store.CONFIG_FILE)
    trial = store.read_trial(job.folder, job.arm, job.seed, config)
    if trial.state == "done" and not (job.url and ended.reason):
        return ""
    return _reason(ended, job.folder) or (
        trial.reason if trial.state not in ("missing", "failed") else _no_result()
    )


def _no_result() -> str:
    return f"it left no {store.RESULT_FILE}"


def _reason(ended: Exit, folder: Path) -> str:
    """Why a process ended as it did; "" for exit code 0."""
    code = ended.code
    if ended.reason:
        return ended.reason
    if code is None:
        return "it ended without a word"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    return (last_line(folder / child.log_name(ended.rank)) or f"exit code {code}") if code else ""


def preparation_problem(job: Job, ended: Exit) -> str:
    """What went wrong when data was prepared; "" if nothing did."""
    return _reason(ended, job.folder)


def _await(path: Path) -> None:
    """Waits until a file that another machine has seen shows here."""
    deadline = time.monotonic() + _SIGHT_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # makes a network file system ask its server again
        time.sleep(0.2)


def last_line(path: Path, limit: int = 300) -> str:
    """The last line of a log that is not empty, cut to `limit` characters."""
    if not untrusted.regular(path, untrusted.MAX_LINES):
        return ""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return untrusted.clean(last[:limit])


def note_failure(job: Job, reason: str, attempt: int) -> None:
    """Leaves the reason in the trial's folder, for reports that are built from it later."""
    store.write_json(job.folder / store.FAILURE_FILE, {"reason": reason, "attempt": attempt})
    if (job.folder / store.RESULT_FILE).exists():
        store.set_aside(job.folder / store.RESULT_FILE)

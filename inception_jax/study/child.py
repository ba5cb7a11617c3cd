"""A trial's processes on this machine, started and watched: the same under every launcher.

Whoever runs a trial, the driver itself, a Ray worker or a SLURM job, does it through a `Child`:
own processes, so that a crash, an out-of-memory kill or a hang ends that trial alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from inception_jax import errors
from inception_jax.study import exits, files, machine, untrusted
from inception_jax.study.exits import Exit
from inception_jax.study.machine import Slot

if TYPE_CHECKING:
    from inception_jax.study import sync

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
_MEMORY_SECONDS = 0.2  # between two looks at the memory that is held


@dataclass(frozen=True)
class Work:
    """What a worker on any machine has to know to run one attempt; plain data.

    Attributes:
        folder: the trial's; on every machine, or within the mirror of `url`.
        url: of the study's folder where it is in a store; "" is a disk that all machines share.
        command: the trial's command line, to which the folder is appended; () is this package's.
        prepare: whether only the data is to be made ready.
        time_limit: seconds after which the attempt is ended; None is no limit.
        memory: GB that each of its processes may hold, those of one machine together so many
            times as much; 0 is no limit.
        processes: of the whole trial, on all machines.
        lease: the driver's, as `lock.fence` gives it: the trial ends once it is another's.
    """

    folder: str
    url: str = ""
    command: tuple[str, ...] = ()
    prepare: bool = False
    time_limit: float | None = None
    memory: float = 0.0
    processes: int = 1
    lease: str = ""

    @property
    def place(self) -> Path:
        """The trial's folder on this machine."""
        if not self.url:
            return Path(self.folder)
        from inception_jax.study import remote

        return remote.mirror(self.url) / self.folder

    def to_json(self) -> str:
        """As text, for a worker elsewhere."""
        return json.dumps(dataclasses.asdict(self))


def work_from_json(text: str) -> Work:
    """The inverse of `Work.to_json`."""
    content = json.loads(text)
    return Work(**{**content, "command": tuple(content["command"])})


def log_name(rank: int) -> str:
    """Where a process of a trial leaves its output."""
    return f"log-{rank}.txt" if rank else "log.txt"


class Child:
    """The processes of one attempt that run on this machine."""

    def __init__(
        self, work: Work, shares: Sequence[Slot], first: int = 0, coordinator: str = ""
    ) -> None:
        """Starts them.

        Args:
            work: the attempt.
            shares: the share of the machine for each process.
            first: the rank of the first of them within the trial.
            coordinator: HOST:PORT at which the trial's processes meet; chosen here where all of
                them run on this machine.
        """
        self._work, self._first = work, first
        self._begun = time.monotonic()
        self._looked = self._asked = 0.0
        self._logs: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._reason = ""
        self._folder = work.place
        self._copier: sync.Copier | None = None
        if work.processes > 1 and not coordinator:
            coordinator = f"127.0.0.1:{free_port()}"
        try:
            if work.url:
                from inception_jax.study import sync

                self._copier = sync.open_trial(work.url, work.folder, first=not first)
            for rank, share in enumerate(shares, first):
                self._start(rank, share, coordinator)
        except errors.UserError as error:
            self._reason = str(error)
        except OSError as error:  # as on a full disk: this attempt's failure, not the driver's
            self._reason = f"cannot start it: {error.strerror or error}"
        except BaseException:
            self.end()
            raise

    @property
    def process(self) -> int:
        """Id of the first process; 0 where none could be started."""
        return self._processes[0].pid if self._processes else 0

    def _start(self, rank: int, share: Slot, coordinator: str) -> None:
        work = self._work
        folder = self._folder
        environment = machine.environment(share, os.environ, work.processes)
        environment["INCEPTION_JAX_DRIVER"] = str(os.getpid())
        environment["INCEPTION_JAX_LEASE"] = work.lease
        if work.processes > 1:
            environment["INCEPTION_JAX_PROCESS"] = f"{rank}/{work.processes}@{coordinator}"
        log = untrusted.append(folder / log_name(rank))
        self._logs.append(log)
        command = work.command or (sys.executable, "-m", "inception_jax.study.trial")
        process = subprocess.Popen(
            [*command, *(("--prepare",) if work.prepare else ()), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which then ends its trials
        )
        self._processes.append(process)
        if share.cores and hasattr(os, "sched_setaffinity"):
            _pin(process.pid, share.cores)

    def poll(self) -> Exit | None:
        """How it ended, or None while it runs. One process that fails ends the others."""
        codes = [process.poll() for process in self._processes]
        if not self._reason and not any(codes) and None in codes:
            self._reason = self._excess()
            if not self._reason:
                return None
        self._kill()
        if self._copier:
            self._reason = self._copier.finish() or self._reason
            self._copier = None
        result = (self._folder / files.RESULT_FILE).exists()
        seconds = time.monotonic() - self._begun
        if self._reason:
            return Exit(None, self._reason, result=result, seconds=seconds, rank=self._first)
        ended = [
            Exit(code, result=result, seconds=seconds, rank=rank)
            for rank, code in enumerate(codes, self._first)
            if code is not None
        ]
        return exits.cause(ended)

    def _excess(self) -> str:
        """Which limit it has gone past, if any."""
        now = time.monotonic()
        limit = self._work.time_limit
        if limit and now - self._begun > limit:
            return f"it ran past the time limit of {limit:g} s"
        most = self._work.memory * len(self._processes)
        if most and now - self._looked > _MEMORY_SECONDS:
            self._looked = now
            held = sum(_held(process.pid) for process in self._processes) / 1e9
            if held > most:
                return f"out of memory: it held {held:.2f} GB of the {most:g} GB it may"
        return ""

    def ask(self) -> None:
        """Asks what still runs to end; a trial that trains saves a checkpoint first."""
        if not self._asked:
            self._asked = time.monotonic()
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)

    def end(self, grace: float = GRACE_SECONDS) -> None:
        """Ends what still runs: asks once, then insists."""
        self.ask()
        deadline = self._asked + grace
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        self._kill()
        if self._copier:
            self._copier.finish()
            self._copier = None

    def _kill(self) -> None:
        self._send(signal.SIGKILL)  # also what a trial that has ended left running
        for process in self._processes:
            process.wait()
        for log in self._logs:
            log.close()


def run(work: Work, share: Slot, rank: int = 0, coordinator: str = "") -> Exit:
    """Runs one process of an attempt to its end; interrupted, it ends that first."""
    child = Child(work, [share], rank, coordinator)
    try:
        while (ended := child.poll()) is None:
            time.sleep(POLL_SECONDS)
        return ended
    except BaseException:
        child.end()
        raise


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("", 0))
        return one.getsockname()[1]


def _held(process: int) -> int:
    """Bytes of memory that a process and its children hold."""
    try:
        first = psutil.Process(process)
        return sum(each.memory_info().rss for each in (first, *first.children(recursive=True)))
    except psutil.Error:
        return 0


def _pin(process: int, cores: tuple[int, ...]) -> None:
    with contextlib.suppress(OSError):  # it has ended, or the machine forbids it: not pinned then
        os.sched_setaffinity(process, cores)

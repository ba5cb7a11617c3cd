"""The SLURM launcher: trials as elements of job arrays, handed over by submitit.

Each process of a trial is a task of its job, which watches a process of its own and leaves what
became of it in STUDY/.slurm as JSON; nothing that a job gives back is unpickled. Jobs go on when
the driver ends unasked: the next one takes them over.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack
from uuid import uuid4

from inception_jax import errors
from inception_jax.study import attempt as attempts_lib
from inception_jax.study import child, exits, machine, slurm_submit, store
from inception_jax.study.attempt import Attempt, Pool, Shared
from inception_jax.study.child import Work
from inception_jax.study.exits import Exit
from inception_jax.study.files import SLURM_FOLDER
from inception_jax.study.launch import Job
from inception_jax.study.slurm_worker import Notes, Worker

_STOP_SECONDS = 20.0
_GONE_SECONDS = 10.0  # between the end of a job and its last file on a network disk
_PREEMPTED_SECONDS = 600.0  # until a job that was preempted counts as not requeued
# what SLURM says of a job that ended by no fault of the trial
_LOST = ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED", "INTERRUPTED", "DEADLINE")
_WORDS = {
    "OUT_OF_MEMORY": "out of memory: ended by SLURM",
    "TIMEOUT": "it ran past the time limit of its SLURM job",
    "CANCELLED": "its SLURM job was cancelled",
    "INTERRUPTED": "its worker was lost",
}
_JOB_ID = re.compile(r"\d+(_\d+)?")


@dataclass
class _Submitted:
    token: str
    id: str
    processes: int
    record: Path
    job: Any
    process: int = 0
    gone: float = 0.0  # since when it seems to have ended
    preempted: float = 0.0  # since when SLURM says so


class OnSlurm(Pool[_Submitted]):
    """Runs trials as SLURM jobs."""

    tied = False

    def __init__(self, slurm: str | None = None, **shared: Unpack[Shared]) -> None:
        """Submits nothing yet.

        Args:
            slurm: sbatch's parameters, as "partition=gpu,time=240"; "cluster=local" runs the jobs
                on this machine, without SLURM.
            shared: see `Pool`; without `jobs` SLURM decides.

        Raises:
            UserError: submitit is not installed.
        """
        super().__init__(**shared)
        try:
            import submitit  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise errors.UserError(
                "--launcher slurm needs submitit: pip install 'inception-jax[slurm]'"
            ) from None
        self._submitit: Any = submitit
        self._parameters = slurm_submit.parse(slurm)
        self._local = self._parameters.pop("cluster", "slurm") == "local"
        self._ended: list[_Submitted] = []
        self.poll_seconds = 0.1 if self._local else 1.0
        if self._local and self._jobs is None:
            self._jobs = len(machine.plan(None, self._memory_gb, self.needs)[0])

    def slots(self) -> int:
        """How many trials run at once, as far as is known."""
        return self._jobs or 100

    def describe(self) -> str:
        """What SLURM is asked for."""
        where = "submitit's local executor" if self._local else "SLURM"
        many = f"{self._jobs} at once" if self._jobs else "as many at once as it allows"
        return f"{many}, {self.needs} each, through {where}"

    def check(self, job: Job) -> str:
        """Prepares the data from this machine, whose disk the nodes share."""
        if self._command:
            return ""
        work = Work(str(job.folder), prepare=True)
        return attempts_lib.preparation_problem(job, child.run(work, machine.Slot()))

    def room(self, running: int) -> int:
        """Everything at once, so that it is one array, of which SLURM lets --jobs run at once."""
        return self._jobs - running if self._local and self._jobs else 10**6

    def start(self, attempts: Sequence[Attempt], works: Sequence[Work]) -> list[_Submitted]:
        """Submits attempts, as one array."""
        folder = _folder(attempts[0].job)
        executor = slurm_submit.executor(
            self._submitit,
            folder,
            self.needs,
            self._parameters,
            memory_gb=self._memory_gb,
            jobs=self._jobs,
            time_limit=self._time_limit,
            local=self._local,
        )
        tokens = [uuid4().hex for _ in works]
        workers = [
            Worker(work, str(folder), token, self.needs.cpus, self.needs.accelerated)
            for work, token in zip(works, tokens, strict=True)
        ]
        try:
            with executor.batch():
                submitted = [executor.submit(worker) for worker in workers]
        except (self._submitit.core.utils.FailedJobError, OSError) as error:
            line = next((x for x in reversed(str(error).splitlines()) if x.strip()), repr(error))
            raise errors.UserError(f"SLURM did not take the jobs: {line.strip()[:300]}") from None
        handles: list[_Submitted] = []
        for attempt, token, job in zip(attempts, tokens, submitted, strict=True):
            record = folder / f"{token}.job.json"
            content = {
                "arm": attempt.job.arm, "seed": attempt.job.seed, "id": str(job.job_id),
                "attempt": attempt.number, "interruptions": attempt.interruptions,
                **self._whose(),
            }  # fmt: skip
            store.write_json(record, content)
            handles.append(_Submitted(token, str(job.job_id), self.needs.processes, record, job))
        return handles

    def adopt(self, jobs: Sequence[Job]) -> list[tuple[Attempt, _Submitted]]:
        """Jobs of an earlier driver that still wait or run; what else it left is cleared away.

        Those of trials that are not among `jobs` are left alone: a later stage asks for them.

        Raises:
            UserError: they run where this launcher does not look.
        """
        folder = _folder(jobs[0])
        wanted = {(job.arm, job.seed): job for job in jobs}
        found: list[tuple[Attempt, _Submitted]] = []
        for record in sorted(folder.glob("*.job.json")):
            content = store.read_json(record)
            handle = self._recorded(folder, record, content)
            ended = not handle or Notes(folder, handle.token).exits(handle.processes)
            if handle and not ended and not self._gone(handle):
                job = wanted.pop((content["arm"], content["seed"]), None)
                if job:
                    attempt = Attempt(job, content["attempt"], content["interruptions"])
                    found.append((attempt, handle))
                continue
            if handle:
                self._forget(handle)
            record.unlink(missing_ok=True)
        return found

    def _whose(self) -> dict[str, str | int]:
        """What has to be known to find a job again."""
        cluster = f"local on {platform.node()}" if self._local else "slurm"
        return {"cluster": cluster, "processes": self.needs.processes}

    def _recorded(self, folder: Path, record: Path, content: Any) -> _Submitted | None:
        """The job that a record tells of; None where it is no record."""
        token = record.name.partition(".")[0]
        keys = {"arm": str, "seed": int, "id": str, "attempt": int, "interruptions": int}
        if not isinstance(content, dict) or not _JOB_ID.fullmatch(str(content.get("id"))):
            return None
        if not all(isinstance(content.get(key), kind) for key, kind in keys.items()):
            return None
        own = self._whose()
        held = {key: content.get(key, value) for key, value in own.items()}
        if held != own:
            raise errors.UserError(
                f"job {content['id']} of this study may still run ({held['cluster']}, "
                f"{held['processes']} processes a trial); go on with it there and so, or end it "
                f"and remove {record}"
            )
        job = None
        if not self._local:
            tasks = list(range(self.needs.processes))
            job = self._submitit.SlurmJob(folder=folder, job_id=content["id"], tasks=tasks)
        return _Submitted(token, content["id"], self.needs.processes, record, job)

    def look(self, handle: _Submitted) -> Exit | Literal["waiting", "running"]:
        """Where an attempt stands, from the notes of its job and then from SLURM."""
        folder = handle.record.parent
        notes = Notes(folder, handle.token)
        found = notes.exits(handle.processes)
        if found:
            self._forget(handle)
            return exits.cause(found)
        if not self._gone(handle):
            handle.gone = 0.0
            return "running" if notes.begun() else "waiting"
        handle.gone = handle.gone or time.monotonic()
        if time.monotonic() - handle.gone < (1.0 if self._local else _GONE_SECONDS):
            return "running"
        state = self._state(handle)
        self._forget(handle)
        reason = _WORDS.get(state, f"its SLURM job ended as {state}")
        return Exit(reason=reason, lost=state in _LOST)

    def _state(self, handle: _Submitted) -> str:
        if self._local:
            return "RUNNING" if slurm_submit.controls(int(handle.id)) else "INTERRUPTED"
        return str(handle.job.watcher.get_state(handle.id, mode="standard")).split(" ")[0].upper()

    def _gone(self, handle: _Submitted) -> bool:
        """Whether SLURM says that the job has ended."""
        if self._local:
            return not slurm_submit.controls(int(handle.id))
        if self._state(handle) == "PREEMPTED":  # it is requeued, unless it is not
            handle.preempted = handle.preempted or time.monotonic()
            return time.monotonic() - handle.preempted > _PREEMPTED_SECONDS
        handle.preempted = 0.0
        return handle.job.watcher.is_done(handle.id, mode="standard")

    def _forget(self, handle: _Submitted) -> None:
        """Removes what job and driver told each other."""
        Notes(handle.record.parent, handle.token).clear(handle.processes)
        handle.record.unlink(missing_ok=True)
        self._ended.append(handle)

    def close(self) -> None:
        """Removes what submitit left, but for its logs."""
        for handle in self._ended:
            deadline = time.monotonic() + child.GRACE_SECONDS
            while self._local and handle.job and not handle.job.done():
                if time.monotonic() > deadline:
                    slurm_submit.kill(int(handle.id))
                time.sleep(child.POLL_SECONDS)
            names = [f"{handle.id}_{rank}_result.pkl" for rank in range(handle.processes)]
            for name in (f"{handle.id}_submitted.pkl", *names):
                (handle.record.parent / name).unlink(missing_ok=True)
        self._ended.clear()

    def stop(self, handles: Sequence[_Submitted]) -> None:
        """Cancels jobs and waits a while for their end."""
        if not handles:
            return
        if self._local:
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(handle.id), signal.SIGTERM)  # its controller hands it on
        else:
            subprocess.run(["scancel", *(h.id for h in handles)], capture_output=True, check=False)
        deadline = time.monotonic() + _STOP_SECONDS
        left = list(handles)
        while left and time.monotonic() < deadline:
            left = [handle for handle in left if not isinstance(self.look(handle), Exit)]
            time.sleep(self.poll_seconds)
        for handle in left if self._local else ():
            slurm_submit.kill(int(handle.id))
            self._forget(handle)


def _folder(job: Job) -> Path:
    """The launcher's own folder beside the study's `trials`."""
    return job.folder.parents[2].absolute() / SLURM_FOLDER

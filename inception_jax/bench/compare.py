"""Two processes that take turns on the machine: medians, and ratios with their spread."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.bench.setting import Setting

PYTHON = "INCEPTION_JAX_BENCH_TORCH"  # interpreter that has torch, where it is not this one
SIDES = ("ours", "theirs")


@dataclasses.dataclass(frozen=True)
class Side:
    """What one program reached.

    Attributes:
        rates: images a second of every round.
        compile_seconds: of the first step, with nothing in a compilation cache.
        peak_bytes: the most memory its process held; on an accelerator, the device's.
        ready_bytes: the most it held before its first step.
        compiler_bytes: the most that a process held which compiled for it; 0 without one.
        about: versions and machine.
        at_peak: images a second if direct convolutions at the peak of matrix products were all;
            None for the other side.
    """

    rates: tuple[float, ...]
    compile_seconds: float
    peak_bytes: int
    ready_bytes: int
    compiler_bytes: int
    about: dict[str, Any]
    at_peak: float | None = None

    @property
    def images_per_second(self) -> float:
        """The median round's."""
        return statistics.median(self.rates)


def measure(
    setting: Setting,
    *,
    against: bool,
    rounds: int,
    seconds: float,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Side, ...]:
    """Ours and, where asked for, PyTorch's, in alternating rounds.

    Args:
        setting: what is measured.
        against: whether PyTorch takes turns with us.
        rounds: of each side; the two change who goes first.
        seconds: of a round, at least.
        report: takes a line as the benchmark goes on.

    Raises:
        UserError: a process that ended, with the last line it said.
    """
    with contextlib.ExitStack() as stack:
        workers: list[_Worker] = []
        for side in SIDES[: 1 + against]:
            report(f"{side}: compiling and warming up")
            # an empty one: a program in it would make the compilation's time a matter of chance
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            workers.append(stack.enter_context(_started(side, setting, cache)))
        size, rates = setting.config.data.batch_size, [[] for _ in workers]
        for index in range(rounds):
            turns = list(zip(workers, rates, strict=True))
            for worker, found in turns if index % 2 == 0 else reversed(turns):
                took = worker.ask(str(seconds))
                found.append(size * took["steps"] / took["seconds"])
            line = "  ".join(f"{found[-1]:8.2f}" for found in rates)
            report(f"round {index + 1} of {rounds}: {line} images/s")
        return tuple(
            Side(
                tuple(found),
                worker.ready.pop("compile_seconds"),
                ready_bytes=worker.ready.pop("ready_bytes"),
                about=worker.ready,
                **worker.finish(),
            )
            for worker, found in zip(workers, rates, strict=True)
        )


def first_step(setting: Setting, cache: Path) -> tuple[float, float]:
    """Seconds from the start of a process of ours to the end of its first step, and of the step.

    Args:
        setting: whose step.
        cache: folder of compiled programs, empty or not.

    Raises:
        UserError: a process that ended, with the last line it said.
    """
    began = time.perf_counter()
    with _started("ours", setting, cache) as worker:
        return time.perf_counter() - began, worker.ready["compile_seconds"]


def ratios(ours: Side, theirs: Side) -> list[float]:
    """Our speed over theirs, round by round."""
    return [a / b for a, b in zip(ours.rates, theirs.rates, strict=True)]


class _Worker:
    """A process that has compiled and waits for its turns."""

    def __init__(self, process: subprocess.Popen[str], log: Any) -> None:
        self._process, self._log = process, log
        self.ready = self._answer()

    def ask(self, question: str) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._answer()

    def finish(self) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.close()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["it said nothing"])[-1]
            raise errors.UserError(f"the benchmark's process ended: {last[:300]}")
        found = json.loads(line)
        if "error" in found:
            raise errors.UserError(found["error"])
        return found


@contextlib.contextmanager
def _started(side: str, setting: Setting, cache: Path) -> Iterator[_Worker]:
    """A worker with a folder of compiled programs, empty or not."""
    own = sys.executable
    variables = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    interpreter = os.environ.get(PYTHON, own) if side == "theirs" else own
    environment = os.environ | variables
    command = (interpreter, "-m", "inception_jax.bench.worker", side, setting.to_json())
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=log, env=environment, text=True
        ) as process,
    ):
        try:
            yield _Worker(process, log)
        finally:
            process.kill()

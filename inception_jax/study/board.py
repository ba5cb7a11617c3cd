"""The driver's view of a running study: shown on its terminal, and left in DIR/driver.json.

The file lets `inception-jax study NAME --status` say from another shell, or another machine, what
runs. It is a note, not a truth: nothing is decided by it, and a study runs without it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from inception_jax.study import live, progress, store
from inception_jax.study.launch import Event, Job
from inception_jax.study.progress import Running, Snapshot

FILE = "driver.json"
_PLAIN_SECONDS = 10.0  # between lines where there is no terminal, if anything has changed
_QUIET_SECONDS = 60.0  # … and if nothing has
_NOTE_SECONDS = 2.0  # between two writings of the file


class Board:
    """Follows a launcher's events and shows them; use as a context manager.

    Args:
        console: where to print.
        jobs: what will run.
        done: jobs that were finished before.
        slots: how many run at once.
        root: the study's folder, which receives `FILE`; None leaves no file.
        title: of the study.
        again: the command that goes on with the study.
    """

    def __init__(
        self,
        console: Console,
        jobs: Sequence[Job],
        done: Sequence[Job],
        slots: int,
        root: Path | None = None,
        title: str = "",
        again: str = "",
    ) -> None:
        self._console, self._slots, self._root = console, slots, root
        self._title, self._again = title, again
        states = {(job.arm, job.seed): "waiting" for job in jobs}
        states |= {(job.arm, job.seed): "done" for job in done}
        arms = {
            arm: place for place, arm in enumerate(dict.fromkeys(j.arm for j in [*jobs, *done]))
        }
        self._states = dict(sorted(states.items(), key=lambda at: (arms[at[0][0]], at[0][1])))
        self._took: dict[str, list[float]] = {}
        self._running: dict[Job, float] = {}
        self._begun = time.monotonic()
        self._begun_at = time.time()
        self._spoke, self._said, self._noted = self._begun, "", -1e9
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._render)
        self.failures: list[Event] = []

    def __enter__(self) -> Board:
        self._note(force=True)
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        elif kind is None:
            self._say()
        self._running.clear()
        self._note(force=True, ended="stopped" if kind else "finished")

    def __call__(self, event: Event | None) -> None:
        """Takes in one event; None only lets time pass."""
        if event is not None:
            self._take(event)
        self._note()
        if self._console.is_terminal:
            return
        waited = time.monotonic() - self._spoke
        if waited >= _QUIET_SECONDS or (waited >= _PLAIN_SECONDS and self._key() != self._said):
            self._say()

    def spare(self, job: Job) -> None:
        """Takes in that a job need not run."""
        self._states[job.arm, job.seed] = "spared"

    def snapshot(self) -> Snapshot:
        """The study as it stands, with how far each running trial is."""
        now = time.monotonic()
        running = tuple(
            Running(job.arm, job.seed, now - begun, *progress.reading(job.folder))
            for job, begun in list(self._running.items())  # a terminal is drawn by a thread
        )
        left = progress.seconds_left(self._states, running, dict(self._took), self._slots)
        return Snapshot(self._title, self._states, running, now - self._begun, left)

    def _take(self, event: Event) -> None:
        key = (event.job.arm, event.job.seed)
        if event.kind == "started":
            self._running[event.job] = time.monotonic()
            self._states[key] = "running"
            return
        self._running.pop(event.job, None)
        self._states[key] = {"done": "done", "failed": "failed"}.get(event.kind, "waiting")
        if event.kind == "done":
            self._took.setdefault(event.job.arm, []).append(event.seconds)
            return
        if event.kind == "failed":
            self.failures.append(event)
        again = "; trying again" if event.kind == "retried" else "; given up, see its log.txt"
        self._console.print(
            f"[yellow]{escape(str(event.job))} failed: {escape(event.reason)}{again}[/]",
            highlight=False,
        )

    def _key(self) -> str:
        return ",".join(map(str, Snapshot("", self._states).counts().values()))

    def _say(self) -> None:
        self._spoke, self._said = time.monotonic(), self._key()
        self._console.print(live.line(self.snapshot()), highlight=False)

    def _render(self) -> Any:
        return live.table(self.snapshot(), self._console.height)

    def _note(self, force: bool = False, ended: str = "") -> None:
        """Leaves `FILE`; whatever goes wrong with it is no concern of the study's."""
        now = time.monotonic()
        if self._root is None or not (force or now - self._noted >= _NOTE_SECONDS):
            return
        self._noted = now
        note = {
            "process": os.getpid(),
            "host": platform.node(),
            "begun": self._begun_at,
            "updated": time.time(),
            "ended": ended,
            "slots": self._slots,
            "again": self._again,
            "running": [
                {"arm": job.arm, "seed": job.seed, "begun": self._begun_at + begun - self._begun}
                for job, begun in self._running.items()
            ],
            "spared": [list(key) for key, state in self._states.items() if state == "spared"],
            "took": self._took,
        }
        with contextlib.suppress(OSError):
            store.write_json(self._root / FILE, note)

"""What is seen while a study runs: a live table in a terminal, else a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from inception_jax.study.launch import Event, Job

_PLAIN_SECONDS = 10.0
_MARKS = {"done": "●", "running": "◐", "failed": "✗", "waiting": "·"}
_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "waiting": "dim"}
_MOST_MARKS = 40  # seeds that are shown one by one


class Board:
    """Follows a launcher's events and shows them; use as a context manager.

    Args:
        console: where to print.
        jobs: what will run.
        done: jobs that were finished before.
        slots: how many run at once.
    """

    def __init__(
        self, console: Console, jobs: Sequence[Job], done: Sequence[Job], slots: int
    ) -> None:
        self._console = console
        self._states = dict.fromkeys([(job.arm, job.seed) for job in done], "done")
        self._states.update(dict.fromkeys([(job.arm, job.seed) for job in jobs], "waiting"))
        self._arms = list(dict.fromkeys(job.arm for job in [*jobs, *done]))
        self._slots = slots
        self._ran: list[float] = []
        self._running: dict[Job, float] = {}
        self._begun = self._spoke = time.monotonic()
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._render)
        self.failures: list[Event] = []

    def __enter__(self) -> Board:
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
            self._console.print(self.line(), highlight=False)

    def __call__(self, event: Event | None) -> None:
        """Takes in one event; None only lets time pass."""
        if event is not None:
            self._take(event)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._spoke >= _PLAIN_SECONDS:
            self._spoke = now
            self._console.print(self.line(), highlight=False)

    def _take(self, event: Event) -> None:
        key = (event.job.arm, event.job.seed)
        if event.kind == "started":
            self._running[event.job] = time.monotonic()
            self._states[key] = "running"
            return
        self._running.pop(event.job, None)
        self._states[key] = {"done": "done", "failed": "failed"}.get(event.kind, "waiting")
        if event.kind == "done":
            self._ran.append(event.seconds)
            return
        if event.kind == "failed":
            self.failures.append(event)
        again = "; trying again" if event.kind == "retried" else "; given up, see its log.txt"
        self._console.print(
            f"[yellow]{escape(str(event.job))} failed: {escape(event.reason)}{again}[/]",
            highlight=False,
        )

    def spare(self, job: Job) -> None:
        """Takes in that a job need not run."""
        self._states[job.arm, job.seed] = "spared"

    def _count(self, state: str) -> int:
        return sum(value == state for value in self._states.values())

    def seconds_left(self) -> float | None:
        """Expected time until the last trial ends; None before the first has."""
        if not self._ran:
            return None
        each = sum(self._ran) / len(self._ran)
        now = time.monotonic()
        rest = [max(each - (now - begun), 0.0) for begun in self._running.values()]
        return max([(sum(rest) + each * self._count("waiting")) / self._slots, *rest])

    def line(self) -> str:
        """The state of the study in one line."""
        failed = self._count("failed")
        left = self.seconds_left()
        parts = [
            f"{self._count('done')} of {len(self._states)} trials done",
            f"{self._count('running')} running",
            *([f"{failed} failed"] if failed else []),
            f"{duration(time.monotonic() - self._begun)} so far",
        ]
        if left is not None and self._count("done") < len(self._states):
            parts.append(f"about {duration(left)} left")
        return " · ".join(parts)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for arm in self._arms:
            seeds = sorted(seed for name, seed in self._states if name == arm)
            table.add_row(arm, self._marks(arm, seeds))
        return Group(table, Text(self.line(), no_wrap=True, overflow="ellipsis"))

    def _marks(self, arm: str, seeds: list[int]) -> Text:
        states = [self._states[arm, seed] for seed in seeds]
        if len(states) > _MOST_MARKS:
            return Text(f"{states.count('done')} of {len(states)}")
        return Text.assemble(*((_MARKS[state] + " ", _COLOURS[state]) for state in states))


def duration(seconds: float) -> str:
    """Seconds as text: 75 -> "1 min 15 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""A study at one moment on a terminal: a table that fits it, or one plain line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from inception_jax.study.progress import Running, Snapshot, duration

_MARKS = {"done": "●", "running": "◐", "failed": "✗", "waiting": "·", "spared": "–"}
_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "waiting": "dim", "spared": "dim"}
_MOST_MARKS = 24  # seeds that are shown one by one
_ARM_WIDTH = 20
_LINES_BESIDE = 4  # of the terminal's height: title, heads, the line below, and the cursor's


def table(snapshot: Snapshot, height: int = 1000) -> Group:
    """Arms by seeds with what runs now, legible at 80 columns; `height` is the terminal's."""
    arms = snapshot.by_arm()
    shown = _rows(arms, max(3, height - _LINES_BESIDE))
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    grid.add_column("arm", width=min(_ARM_WIDTH, max(map(len, arms), default=3)), overflow="fold")
    grid.add_column("done", justify="right", no_wrap=True)
    grid.add_column("seeds", no_wrap=True)
    grid.add_column("now", no_wrap=True, overflow="ellipsis")
    for arm in shown:
        states = arms[arm]
        now = "; ".join(_now(one) for one in snapshot.running if one.arm == arm)
        done = f"{states.count('done')}/{len(states)}"
        grid.add_row(Text(_cut(arm)), done, _marks(states), Text(now))
    more = len(arms) - len(shown)
    rest = [Text(f"… and {more} more arms", style="dim")] if more else []
    title = Text(snapshot.title, style="bold", no_wrap=True, overflow="ellipsis")
    return Group(title, grid, *rest, Text(line(snapshot), no_wrap=True, overflow="ellipsis"))


def _cut(arm: str) -> str:
    return arm if len(arm) <= 2 * _ARM_WIDTH else arm[: 2 * _ARM_WIDTH - 1] + "…"


def _rows(arms: dict[str, list[str]], room: int) -> list[str]:
    """The arms that are shown where not all fit: first those in which something happens."""
    if len(arms) <= room:
        return list(arms)

    def rank(arm: str) -> int:
        states = arms[arm]
        return (
            0 if "running" in states else 1 if "failed" in states else 2 + ("waiting" not in states)
        )

    chosen = set(sorted(arms, key=rank)[: room - 1])
    return [arm for arm in arms if arm in chosen]


def _marks(states: Sequence[str]) -> Text:
    if len(states) > _MOST_MARKS:
        share = round(10 * states.count("done") / len(states))
        return Text("█" * share + "░" * (10 - share), style="green")
    between = " " if len(states) <= _MOST_MARKS // 2 else ""
    return Text.assemble(*((_MARKS[state] + between, _COLOURS[state]) for state in states))


def _now(one: Running) -> str:
    parts = [f"{one.seed}:", "starting" if one.share is None else f"{100 * one.share:.0f} %"]
    if one.speed:
        parts.append(f"{one.speed:,.0f} img/s" if one.speed >= 10 else f"{one.speed:.1f} img/s")
    left = one.left(None)
    if left is not None:
        parts.append(f"{_short(left)} left")
    return " ".join(parts)


def _short(seconds: float) -> str:
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def line(snapshot: Snapshot) -> str:
    """The study in one line, as "12 of 40 trials done · 2 running · about 9 min 20 s left"."""
    counts = snapshot.counts()
    total = len(snapshot.states) - counts["spared"]
    parts = [
        f"{counts['done']} of {total} trials done",
        *(f"{counts[state]} {state}" for state in ("running",) if counts[state]),
        *(f"{counts[state]} {state}" for state in ("failed", "spared") if counts[state]),
    ]
    if snapshot.seconds is not None:
        parts.append(f"{duration(snapshot.seconds)} so far")
    if snapshot.left is not None and counts["done"] < total:
        parts.append(f"about {duration(snapshot.left)} left")
    return " · ".join(parts)

"""Forest plots: differences with their intervals, one below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inception_jax.study.drawing import INK, VERDICT_COLOURS

_LINE = 76  # letters of a label that fit the picture's width
_STEP = 0.62  # inches a row


@dataclass(frozen=True)
class Row:
    """One difference; numbers in the metric's unit.

    Attributes:
        label: above the interval.
        verdict: decides its colour, and stands behind the label.
        mean: of the paired differences.
        low: lower end of the interval.
        high: its upper end.
        margins: fixed in advance, dotted.
        paper: the paper's difference.
        final: whether the verdict is one, or only what the trials say so far.
    """

    label: str
    verdict: str
    mean: float
    low: float
    high: float
    margins: tuple[float, ...] = ()
    paper: float | None = None
    final: bool = True


def margins(margin: float | None, direction: str) -> tuple[float, ...]:
    """Where the lines of a margin stand."""
    if not margin:
        return ()
    return {"greater": (-margin,), "less": (margin,), "equivalent": (-margin, margin)}[direction]


def height(rows: Sequence[Row]) -> float:
    """Of the whole plot, in inches."""
    return 1.2 + _STEP * len(rows)


def draw(axes: Any, rows: Sequence[Row], *, wide: bool = False) -> bool:
    """Draws the rows from top to bottom, in percentage points.

    Args:
        axes: to draw on.
        rows: the differences.
        wide: a scale that is linear within one point and logarithmic beyond, for differences of
            studies that have little to do with each other.
    """
    for place, row in enumerate(reversed(rows)):
        _row(axes, place, row)
    if not rows:
        return False
    axes.set_ylim(-0.5, len(rows) - 0.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if wide:
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.7)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    legend = ["line: 95 %"]
    legend += ["dotted: margin"] if any(row.margins for row in rows) else []
    legend += ["diamond: the paper"] if any(row.paper is not None for row in rows) else []
    axes.set_xlabel(f"difference, points ({'; '.join(legend)})", fontsize=9.5)
    return True


def _row(axes: Any, place: int, row: Row) -> None:
    mean, low, high = (100 * value for value in (row.mean, row.low, row.high))
    colour, span = VERDICT_COLOURS[row.verdict], [place - 0.3, place + 0.16]
    axes.plot([0, 0], span, color=INK, linewidth=1, alpha=0.6)
    axes.plot([low, high], [place, place], color=colour, linewidth=2)
    axes.plot(mean, place, "o", color=colour)
    for edge in row.margins:
        axes.plot([100 * edge] * 2, span, ":", color=INK, linewidth=1)
    if row.paper is not None:
        axes.plot(100 * row.paper, place - 0.16, "D", color=INK, fillstyle="none", markersize=5)
    said = row.verdict if row.final else f"so far {row.verdict}"
    lines = textwrap.wrap(f"{row.label} ({said})", _LINE)
    axes.text(
        0.0, place + 0.2, "\n".join(lines), transform=axes.get_yaxis_transform(),
        fontsize=9 if len(lines) == 1 else 8, va="bottom", linespacing=0.95,
    )  # fmt: skip

"""The report's pictures as SVG text that takes its ink from the page, light or dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inception_jax.study import stats, store
from inception_jax.study.tables import Summary

# Distinguishable with colour-blindness, on white and on dark grey (Okabe and Ito, two darkened).
COLOURS = ("#0b84c6", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#7f6fd4", "#56b4e9", "#808080")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INK = "#010203"  # a colour that nothing else uses; becomes the page's own
_GREY_INK = "#7a7a7a"  # readable on white and on black, for files that stand alone
_VERDICT_COLOURS = {"supported": "#009e73", "contradicted": "#d55e00", "inconclusive": "#b8860b"}


def all_plots(root: Path, summary: Summary) -> dict[str, str]:
    """Every plot that has something to show: name -> SVG text with `currentColor` as its ink."""
    if not summary.arms:
        return {}  # costs alone; loading matplotlib would take longer than counting some of them
    makers: dict[str, Callable[[Any], bool]] = {
        "accuracy": lambda axes: accuracy(axes, summary),
        "differences": lambda axes: differences(axes, summary),
        "curves": lambda axes: curves(axes, root, summary),
    }
    heights = {"differences": 1.2 + 0.62 * len(summary.questions)}
    drawn: dict[str, str] = {}
    for name, maker in makers.items():
        svg = _draw(maker, heights.get(name, 3.6), name)
        if svg:
            drawn[name] = svg
    return drawn


def standalone(svg: str) -> str:
    """The same picture with an ink that is readable on white and on black."""
    return svg.replace("currentColor", _GREY_INK)


def _draw(maker: Callable[[Any], bool], height: float, name: str) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: Any = {
        **dict.fromkeys(ink, _INK),
        "svg.fonttype": "none",
        "svg.hashsalt": "inception_jax",
        "font.family": "sans-serif",
        "font.size": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": _INK,
        "grid.alpha": 0.15,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        if not maker(figure.add_subplot()):
            return ""
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """Makes a matplotlib file a part of a page: no prologue, ids of its own, ink of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'(<svg[^>]*?) height="[^"]*"',
        rf'\1 class="plot" role="img" data-plot="{name}"',
        svg,
        count=1,
    )
    return svg.replace(_INK, "currentColor")


def accuracy(axes: Any, summary: Summary) -> bool:
    """Accuracy against MACs, one mark an arm with the 95 % interval of its mean."""
    rows = [(i, row) for i, row in enumerate(summary.arms) if row.cost and row.n]
    for index, row in rows:
        assert row.cost is not None
        error = 100 * (row.high - row.mean) if math.isfinite(row.high) else 0.0
        axes.errorbar(
            row.cost.macs / 1e6,
            100 * row.mean,
            yerr=error,
            fmt=MARKERS[index % len(MARKERS)],
            color=COLOURS[index % len(COLOURS)],
            capsize=3,
            label=row.arm.label,
        )
    if not rows:
        return False
    axes.set_xlabel("million multiply-adds an image")
    axes.set_ylabel(f"{summary.study.metric}, % (95 % interval)")
    axes.grid(visible=True)
    axes.margins(x=0.12)
    _legend(axes, len(rows))
    return True


def _legend(axes: Any, entries: int) -> None:
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2 if entries > 1 else 1,
        fontsize=9,
    )


def differences(axes: Any, summary: Summary) -> bool:
    """Forest plot: the paired difference of every question with its interval and margin."""
    rows = [row for row in summary.questions if row.comparison]
    for height, row in enumerate(reversed(rows)):
        comparison = row.comparison
        assert comparison is not None
        mean, low, high = (100 * v for v in (comparison.mean, comparison.low, comparison.high))
        colour = _VERDICT_COLOURS[row.verdict]
        axes.plot([0, 0], [height - 0.3, height + 0.18], color=_INK, linewidth=1, alpha=0.6)
        axes.plot([low, high], [height, height], color=colour, linewidth=2)
        axes.plot(mean, height, "o", color=colour)
        for edge in _margins(comparison.margin, comparison.direction):
            axes.plot([100 * edge] * 2, [height - 0.3, height + 0.18], ":", color=_INK, linewidth=1)
        names = (
            f"{_label(summary, row.question.treatment)} vs {_label(summary, row.question.baseline)}"
        )
        axes.text(
            0.0, height + 0.22, f"{row.question.claim}: {names} ({row.verdict})",
            transform=axes.get_yaxis_transform(), fontsize=9, va="bottom",
        )  # fmt: skip
    if not rows:
        return False
    axes.set_ylim(-0.5, len(rows) - 0.25)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference, percentage points (95 % interval; dotted: margin)")
    return True


def _margins(margin: float | None, direction: str) -> list[float]:
    if not margin:
        return []
    return {"greater": [-margin], "less": [margin], "equivalent": [-margin, margin]}[direction]


def _label(summary: Summary, arm: str) -> str:
    return summary.study.arm(arm).label


def curves(axes: Any, root: Path, summary: Summary) -> bool:
    """Accuracy over training: mean over seeds with the 95 % interval of the mean as a band."""
    drawn = 0
    split, _, key = summary.study.metric.partition("_")
    for index, arm in enumerate(summary.study.arms):
        at: dict[int, list[float]] = {}
        for trial in summary.trials:
            if trial.arm == arm.name and trial.state == "done":
                folder = store.trial_folder(root, arm.name, trial.seed)
                for step, value in store.read_curve(folder, split, key):
                    at.setdefault(step, []).append(100 * value)
        steps = sorted(step for step, sample in at.items() if len(sample) == _most(at))
        if not steps:
            continue
        means = [sum(at[step]) / len(at[step]) for step in steps]
        bands = [stats.interval(at[step]) for step in steps]
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(steps, means, color=colour, label=arm.label,
                  marker=MARKERS[index % len(MARKERS)], markersize=4)  # fmt: skip
        axes.fill_between(steps, *zip(*bands, strict=True), color=colour, alpha=0.18, linewidth=0)
        drawn += 1
    if not drawn:
        return False
    axes.set_xlabel("step")
    axes.set_ylabel(f"{split} {key}, % (95 % band)")
    axes.grid(visible=True)
    _legend(axes, drawn)
    return True


def _most(at: dict[int, list[float]]) -> int:
    return max((len(sample) for sample in at.values()), default=0)

"""A study's pictures: accuracy against cost, differences, learning curves, resolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inception_jax.study import answers, drawing, forest, stats, store, tables
from inception_jax.study.definition import METRIC
from inception_jax.study.drawing import colour, marker
from inception_jax.study.tables import Summary

TITLES = {
    "accuracy": "Accuracy against cost",
    "differences": "Paired differences",
    "curves": "Learning curves",
    "resolution": "Resolution, beside the paper's Table 2",
}

# Table 2 of the paper: side of the input, px, and top-1 accuracy, %
_TABLE_2 = ((299, 76.6), (151, 76.4), (79, 75.2))


def all_plots(root: Path, summary: Summary) -> dict[str, str]:
    """Every plot that has something to show: name -> SVG text with `currentColor` as its ink."""
    if not summary.arms:
        return {}  # costs alone; loading matplotlib would take longer than counting some of them
    rows = _forest(summary)
    high = 3.2 + drawing.legend_height(len(summary.arms))
    makers: dict[str, tuple[Callable[[Any], bool], float]] = {
        "differences": (lambda axes: forest.draw(axes, rows), forest.height(rows)),
        "resolution": (lambda axes: resolution(axes, summary), 3.6),
        "accuracy": (lambda axes: accuracy(axes, summary), high),
        "curves": (lambda axes: curves(axes, root, summary), high),
    }
    drawn: dict[str, str] = {}
    for name, (maker, height) in makers.items():
        svg = drawing.draw(maker, height, name)
        if svg:
            drawn[name] = svg
    return drawn


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
            fmt=marker(index),
            color=colour(index),
            capsize=3,
            label=row.arm.label,
        )
    if not rows:
        return False
    axes.set_xlabel("million multiply-adds an image")
    axes.set_ylabel(f"{summary.study.metric}, % (95 % interval)")
    axes.grid(visible=True)
    axes.margins(x=0.12)
    drawing.legend(axes)
    return True


def _forest(summary: Summary) -> list[forest.Row]:
    label = {arm.name: arm.label for arm in summary.study.arms}
    return [
        forest.Row(
            label=f"{row.question.claim}: {label[row.question.treatment]} vs "
            f"{label[row.question.baseline]}",
            verdict=row.verdict,
            mean=row.comparison.mean,
            low=row.comparison.low,
            high=row.comparison.high,
            margins=forest.margins(row.comparison.margin, row.comparison.direction),
            paper=answers.paper_difference(row.question),
            final=summary.missing == 0,
        )
        for row in summary.questions
        if row.comparison
    ]


def curves(axes: Any, root: Path, summary: Summary) -> bool:
    """Accuracy over training: mean over seeds with the 95 % interval of the mean as a band."""
    drawn = last = 0
    split, _, key = summary.study.metric.partition("_")
    own = tables.by_arm(summary.study, summary.trials)
    for index, arm in enumerate(summary.study.arms):
        at: dict[int, list[float]] = {}
        for trial in own[arm.name]:
            if trial.state == "done":
                folder = store.trial_folder(root, arm.name, trial.seed)
                for step, value in store.read_curve(folder, split, key):
                    at.setdefault(step, []).append(100 * value)
        steps = sorted(step for step, sample in at.items() if len(sample) == _most(at))
        if not steps:
            continue
        means = [sum(at[step]) / len(at[step]) for step in steps]
        bands = [stats.interval(at[step]) for step in steps]
        axes.plot(steps, means, color=colour(index), label=arm.label,
                  marker=marker(index), markersize=4)  # fmt: skip
        axes.fill_between(
            steps, *zip(*bands, strict=True), color=colour(index), alpha=0.18, linewidth=0
        )
        drawn, last = drawn + 1, max(last, steps[-1])
    if not drawn:
        return False
    _asked(axes, summary, last)
    axes.set_xlabel("step")
    axes.set_ylabel(f"{split} {key}, % (95 % band)")
    axes.grid(visible=True)
    drawing.legend(axes)
    return True


def _most(at: dict[int, list[float]]) -> int:
    return max((len(sample) for sample in at.values()), default=0)


def _asked(axes: Any, summary: Summary, last: int) -> None:
    """What questions about the curve are about: the early window, or the level to be reached."""
    found = {q.metric: METRIC.fullmatch(q.metric) for q in summary.study.questions}
    for asked in found.values():
        if asked and asked[1] == "early":
            axes.axvspan(0, float(asked[3]) * last, color=drawing.INK, alpha=0.06, linewidth=0)
        elif asked and asked[1] == "time_to":
            axes.axhline(100 * float(asked[3]), color=drawing.INK, linestyle=":", linewidth=1)


def resolution(axes: Any, summary: Summary) -> bool:
    """Accuracy lost with the input's resolution: the paper's Table 2, and ours paired by seed.

    Only of a study that asks A15. The arms that keep the cost are those of A15, the ones whose
    network shrinks with its input the baselines of A16.
    """
    asked = [q for q in summary.study.questions if q.claim == "A15"]
    size = {arm.name: arm.overrides.get("data.image_size", 0) for arm in summary.study.arms}
    constant = {name for q in asked for name in (q.treatment, q.baseline)}
    shrunk = {q.baseline for q in summary.study.questions if q.claim == "A16"}
    if not asked or not all(size[name] for name in constant | shrunk):
        return False
    largest = max(constant, key=lambda name: size[name])
    lines = (
        ("ours, cost held constant", constant, "-"),
        ("ours, network shrinks with its input", shrunk | {largest}, "--"),
    )
    drawn = False
    for index, (label, arms, style) in enumerate(lines):
        points = _lost(summary, largest, sorted(arms, key=lambda name: -size[name]))
        if len(points) > 1:
            sides = [size[name] / size[largest] for name in points]
            means = [mean for mean, _ in points.values()]
            error = [half for _, half in points.values()]
            axes.errorbar(sides, means, yerr=error, label=label, color=colour(index),
                          marker=marker(index), linestyle=style, capsize=3)  # fmt: skip
            drawn = True
    if not drawn:
        return False
    first, top = _TABLE_2[0]
    axes.plot([side / first for side, _ in _TABLE_2], [value - top for _, value in _TABLE_2],
              color=drawing.INK, marker="D", fillstyle="none",
              label="the paper, cost held constant")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 0.5, 0.25], ["full size", "half", "a quarter"])
    axes.invert_xaxis()
    axes.set_xlabel(f"side of the input (full size: 299 px in the paper, {size[largest]} px here)")
    axes.set_ylabel("points below full size (95 %)")
    axes.grid(visible=True)
    drawing.legend(axes, columns=1)
    return True


def _lost(summary: Summary, largest: str, arms: list[str]) -> dict[str, tuple[float, float]]:
    """Arm -> (mean difference from the largest, half its interval), points; where two seeds are."""
    metric = summary.study.metric
    top = tables.values(summary.trials, largest, metric)
    found: dict[str, tuple[float, float]] = {}
    for name in arms:
        own = tables.values(summary.trials, name, metric)
        lost = [100 * (own[seed] - top[seed]) for seed in own if seed in top]
        if name == largest and lost:
            found[name] = (0.0, 0.0)
        elif len(lost) > 1:
            low, high = stats.interval(lost)
            found[name] = (sum(lost) / len(lost), (high - low) / 2)
    return found

"""What a question is about: a metric of `result.json`, or a number read from the learning curve.

    test_top1                    the metric as it stands there, after the last step
    early(test_top1, 0.25)       its mean over the evaluations in the first quarter of the run
    diverged                     1 where the run diverged, else 0 (`train.record_divergence`)
    time_to(test_top1, 0.9)      the share of the run after which it first reaches 0.9, on a
                                 straight line between evaluations; 1 where it never does

All are fractions (of the examples, or of the run), so that they are printed alike: as percent, and
differences as points. A run that never reaches the level counts as if it had at its end, which can
only shrink a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from inception_jax.study import store
from inception_jax.study.definition import METRIC, Question, Study
from inception_jax.study.store import Trial

DIVERGED = "diverged"  # 1 or 0, of a trial with `train.record_divergence`
Curve = Sequence[tuple[int, float]]


def counted(study: Study, question: Question) -> bool:
    """Whether a question is about outcomes that are 0 or 1, of which only the number counts."""
    return study.metric_of(question) == DIVERGED


def asked(study: Study) -> tuple[str, ...]:
    """The metrics that the study's questions name themselves."""
    return tuple(dict.fromkeys(q.metric for q in study.questions if q.metric))


def label(metric: str) -> str:
    """The metric in words, as in "share of the run until test_top1 is 90 %"."""
    found = METRIC.fullmatch(metric)
    if not found or not found[1]:
        return metric
    kind, name, number = found[1], found[2], f"{100 * float(found[3]):g} %"
    if kind == "early":
        return f"mean {name} in the first {number} of the run"
    return f"share of the run until {name} is {number}"


def of_curve(metric: str, folder: Path, steps: int) -> float | None:
    """The value of a metric that is read from a trial's learning curve.

    Args:
        metric: of the form early(...) or time_to(...); of any other the value is None.
        folder: the trial's.
        steps: of the whole run.

    Returns:
        The value, or None without an evaluation to read it from.
    """
    found = METRIC.fullmatch(metric)
    if not found or not found[1]:
        return None
    split, _, key = found[2].rpartition("_")
    points = store.read_curve(folder, split, key)
    if found[1] == "early":
        window = [value for step, value in points if step <= float(found[3]) * steps]
        return fmean(window) if window else None
    return time_to(points, float(found[3]), steps) if points else None


def time_to(points: Curve, level: float, steps: int) -> float:
    """Share of the run after which a curve of (step, value) first reaches a level."""
    before: tuple[int, float] | None = None
    for step, value in points:
        if value >= level:
            if before is None:
                return step / steps
            climbed = (level - before[1]) / (value - before[1])
            return (before[0] + climbed * (step - before[0])) / steps
        before = (step, value)
    return 1.0


def add(root: Path, trial: Trial, metrics: Sequence[str]) -> Trial:
    """The trial with those of the metrics that are read from its curve among its own."""
    if trial.state != "done":
        return trial
    folder, steps = store.trial_folder(root, trial.arm, trial.seed), int(trial.record["steps"])
    read = {metric: of_curve(metric, folder, steps) for metric in metrics}
    found = {metric: value for metric, value in read.items() if value is not None}
    return trial.with_metrics({**trial.metrics, **found})

"""How numbers are written, the same in the terminal, on the page, in Markdown and in LaTeX."""

from __future__ import annotations

import math

from inception_jax.study import outcomes
from inception_jax.study.costs import CostRow
from inception_jax.study.definition import CostClaim, Question
from inception_jax.study.spent import Spent
from inception_jax.study.tables import ArmRow, QuestionRow

NONE = "–"
_UNITS = (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def points(value: float, sign: bool = False) -> str:
    """A fraction as percent or percentage points, to two decimals: 0.0123 -> "+1.23"."""
    if not math.isfinite(value):
        return NONE
    return f"{100 * value:{'+' if sign else ''}.2f}".replace("-", "−")


def spread(mean: float | None, sd: float | None) -> str:
    """Mean +- sd in percent."""
    if mean is None or not math.isfinite(mean):
        return NONE
    more = f" ± {points(sd)}" if sd is not None and math.isfinite(sd) else ""
    return points(mean) + more


def accuracy(row: ArmRow) -> str:
    """Mean +- sd in percent of an arm."""
    return spread(row.mean, row.sd)


def averaged(row: ArmRow) -> str:
    """The same of the averaged parameters."""
    return spread(row.ema, row.ema_sd)


def probability(value: float) -> str:
    """A p value to two digits."""
    if not math.isfinite(value):
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def count(value: float | None) -> str:
    """A large count with its unit: 5713216096 -> "5.713 G"."""
    if value is None:
        return NONE
    for unit, size in _UNITS:
        if value >= size:
            scaled = value / size
            return f"{scaled:.{max(0, 3 - len(str(int(scaled))))}f} {unit}"
    return str(int(value))


def params(row: ArmRow) -> str:
    """Parameters of an arm."""
    return count(row.cost.params if row.cost else None)


def macs(row: ArmRow) -> str:
    """Multiply-adds of an arm, for one image."""
    return count(row.cost.macs if row.cost else None)


def difference(row: QuestionRow) -> str:
    """The mean difference in points."""
    return points(row.comparison.mean, sign=True) if row.comparison else NONE


def interval(row: QuestionRow) -> str:
    """The 95 % interval in points."""
    if row.comparison is None:
        return NONE
    low, high = row.comparison.low, row.comparison.high
    return f"[{points(low, sign=True)}, {points(high, sign=True)}]"


def rule(question: Question) -> str:
    """The decision rule in a few words."""
    about = f"{outcomes.label(question.metric)}: " if question.metric else ""
    return about + _direction(question)


def _direction(question: Question) -> str:
    if question.direction == "equivalent":
        return f"equivalent within ±{points(question.margin or 0)}"
    if question.margin:
        worse = "worse" if question.direction == "greater" else "more"
        return f"at most {points(question.margin)} {worse}"
    return question.direction


def why(row: CostRow) -> str:
    """Why a contradicted cost claim parts from the paper; "" elsewhere."""
    return row.claim.why if row.verdict == "contradicted" else ""


def held(claim: CostClaim) -> str:
    """The rule of a cost claim: how near our count must come to the paper's figure."""
    if claim.limit or claim.quantity == "spread":
        return "rule: below"
    if claim.tolerance < 1e-6:
        return "rule: exact"
    if claim.quantity == "saving":
        return f"rule: ± {100 * claim.tolerance:g} %"
    return f"rule: ± {claim.tolerance:g}"


def ours(row: CostRow) -> str:
    """Our count of a cost claim."""
    if not row.ours:
        return NONE
    if row.claim.quantity == "counted":
        try:
            return row.claim.form.format(*row.ours)
        except IndexError:  # fewer counts than the claim prints
            return NONE
    if row.claim.quantity == "ratio":
        return ", ".join(f"{value:.2f}×" for value in row.ours)
    kind = "saved" if row.claim.quantity == "saving" else "apart"
    return ", ".join(f"{100 * value:.1f} %" for value in row.ours) + f" {kind}"


def spent(cost: Spent) -> str:
    """What trials have cost: "40 trials, 5.6 core-minutes, 2.84 T MAC"; "" without any."""
    if not cost.trials:
        return ""
    minutes = cost.core_minutes
    time = f"{minutes:.0f}" if minutes >= 10 else f"{minutes:.1f}"
    macs = f", {count(cost.macs)} MAC" if cost.macs else ""
    return f"{cost.trials} trials, {time} core-minutes{macs}"

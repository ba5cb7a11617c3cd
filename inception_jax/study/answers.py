"""What a study's summary answers to the paper's claims: the record that is published of it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from inception_jax.study import outcomes, power, runner, wording
from inception_jax.study.costs import CostRow
from inception_jax.study.definition import CostClaim, Question, Study
from inception_jax.study.record import Answer, Record
from inception_jax.study.stats import POWER, Comparison
from inception_jax.study.tables import ArmRow, QuestionRow, Summary

# The paper's difference is the signed number of its text: "22.8 to 21.6 % error: +1.2".
_SIGNED = re.compile(r"(?<!\w)[+−-]\d+(?:\.\d+)?")


def of_summary(summary: Summary, folder: str, plots: Sequence[str]) -> Record:
    """The record of a study that was just summarised.

    Args:
        summary: from `tables.summarise`.
        folder: its name among the published ones.
        plots: names of its pictures.
    """
    study = summary.study
    return Record(
        folder=folder,
        study=study.name,
        title=study.title,
        question=study.question,
        data=study.data,
        scale=study.scale,
        seeds=study.seeds,
        metric=study.metric,
        done=summary.done,
        missing=summary.missing,
        total=len(summary.trials),
        command=_command(summary, folder),
        spent=summary.spent,
        arms=tuple(_arm(row) for row in summary.arms),
        answers=(
            *(_question(summary, row) for row in summary.questions),
            *(_count(row) for row in summary.costs),
        ),
        warnings=summary.warnings,
        fairness=study.fairness,
        differs=study.differs,
        facts=dict(summary.facts),
        plots=tuple(plots),
    )


def _command(summary: Summary, folder: str) -> str:
    study = summary.study
    options: dict[str, Any] = {}
    if study.arms:
        options = {"data": study.data, "seeds": study.seeds}
        options |= {"scale": study.scale} if study.scale != "default" else {}
    return runner.command(study.name, {**options, "workdir": f"runs/{folder}"})


def _arm(row: ArmRow) -> dict[str, Any]:
    numbers = {
        name: _finite(getattr(row, name))
        for name in ("mean", "sd", "low", "high", "ema", "ema_sd", "seconds")
    }
    return {
        "name": row.arm.name,
        "label": row.arm.label,
        "overrides": dict(row.arm.overrides),
        "params": row.cost.params if row.cost else None,
        "macs": row.cost.macs if row.cost else None,
        "n": row.n,
        **numbers,
    }


def _question(summary: Summary, row: QuestionRow) -> Answer:
    question, found = row.question, row.comparison
    label = {arm.name: arm.label for arm in summary.study.arms}
    answer = Answer(
        claim=question.claim,
        statement=question.statement,
        paper=_printed(question),
        ours=f"{wording.difference(row)} {wording.interval(row)}" if found else wording.NONE,
        verdict=row.verdict,
        arms=f"{label[question.treatment]} vs {label[question.baseline]}",
        rule=wording.rule(question),
        margin=question.margin,
        direction=question.direction,
        paper_difference=paper_difference(question),
    )
    if found is None:
        return answer
    open_ = row.verdict == "inconclusive"
    return dataclasses.replace(
        answer,
        mean=found.mean,
        low=_finite(found.low),
        high=_finite(found.high),
        n=found.n,
        p=_finite(found.p),
        p_holm=_finite(row.p_adjusted),
        p_sign_flip=_finite(found.p_sign_flip),
        smallest_detectable=_finite(found.smallest_detectable),
        takes=takes(summary.study, question, found) if open_ else "",
    )


def _count(row: CostRow) -> Answer:
    return Answer(
        claim=row.claim.claim,
        statement=row.claim.statement,
        paper=_printed(row.claim),
        ours=wording.ours(row),
        verdict=row.verdict,
        why=wording.why(row),
    )


def _printed(part: Question | CostClaim) -> str:
    return f"{part.paper} ({part.source})" if part.source else part.paper


def paper_difference(question: Question) -> float | None:
    """The paper's own difference, a fraction; None where it prints none for this metric."""
    if question.metric == outcomes.DIVERGED or "(" in question.metric:
        return None
    found = _SIGNED.search(question.paper)
    return float(found[0].replace("−", "-")) / 100 if found else None


def takes(study: Study, question: Question, found: Comparison) -> str:
    """How many seeds an inconclusive question would need, with the spread that was seen.

    As `inception-jax plan` reckons: 80 % power at 5 % over all questions of the study. With a
    margin, for arms that do not differ; else for the paper's difference, or, where it has none,
    for the one that was seen.

    Args:
        study: that asks the question.
        question: the question.
        found: its comparison.
    """
    level = found.alpha / len(study.questions)
    seen = f"{wording.points(found.mean, sign=True)}, if that is the true difference"
    if found.mean and outcomes.counted(study, question):
        needed = _seeds(lambda n: power.counted_power(abs(found.mean), n, level))
        return f"{needed} seeds for {seen} and no seed goes against it ({found.n} here)"
    if found.sd == 0:
        return ""
    power_of = power.tost_power if question.direction == "equivalent" else power.t_power
    paper = paper_difference(question)
    if question.margin:
        effect = question.margin
        what = f"for a margin of {wording.points(question.margin)}, if the arms are equal"
    elif paper:
        effect, what = abs(paper), f"for the paper's {wording.points(paper, sign=True)}"
    else:
        effect, what = abs(found.mean), f"for {seen}"
    if effect == 0:
        return ""
    needed = _seeds(lambda n: power_of(effect / found.sd, n, level))
    return f"{needed} seeds {what} ({found.n} here)"


def _seeds(power_of: Callable[[int], float]) -> str:
    seeds = power.seeds_needed(power_of, POWER)
    return f"about {seeds:,}" if seeds else f"more than {power.MOST_SEEDS:,}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

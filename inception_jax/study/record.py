"""What a study's folder of published results keeps: all that the index of claims says about it.

`summary.json` is plain JSON of a few kilobytes without learning curves. It is enough to build the
index and every claim's page again when the run itself is gone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from inception_jax import errors
from inception_jax.study import outcomes, power, runner, store, wording
from inception_jax.study.costs import CostRow
from inception_jax.study.definition import CostClaim, Question
from inception_jax.study.spent import Spent
from inception_jax.study.stats import POWER, Comparison, Verdict
from inception_jax.study.tables import ArmRow, QuestionRow, Summary

FILE = "summary.json"
_FORMAT = 1
# The paper's difference is the signed number of its text: "22.8 to 21.6 % error: +1.2".
_SIGNED = re.compile(r"(?<!\w)[+−-]\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Answer:
    """One part of a claim as a study answers it: a question over seeds, or a count.

    Numbers are in the metric's unit (0.01 is one point of accuracy), None where there is none.

    Attributes:
        claim: id, as in "A1".
        statement: *supported* means that this sentence holds.
        paper: its figure as printed, with the place.
        ours: our figure as printed, with its interval.
        verdict: of this part.
        arms: "treatment vs baseline" by their labels; "" of a count.
        rule: the decision rule in words, fixed in advance.
        mean: of the paired differences.
        low: lower end of their 95 % interval.
        high: its upper end.
        margin: fixed in advance.
        direction: of treatment minus baseline.
        paper_difference: the paper's.
        n: pairs of seeds.
        p: of the test.
        p_holm: adjusted over the study.
        p_sign_flip: of the second opinion.
        smallest_detectable: true distance from the null value that the run would have found.
        takes: what an inconclusive question would take.
        why: why a count parts from the paper.
    """

    claim: str
    statement: str
    paper: str
    ours: str
    verdict: Verdict
    arms: str = ""
    rule: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    direction: str = ""
    paper_difference: float | None = None
    n: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_sign_flip: float | None = None
    smallest_detectable: float | None = None
    takes: str = ""
    why: str = ""


@dataclass(frozen=True)
class Record:
    """One published study.

    Attributes:
        folder: its name among the published ones.
        study: its name on the command line.
        title: heading of its page.
        question: what it asks.
        data: name of the data set.
        scale: of the study.
        seeds: asked for.
        metric: that its questions are about.
        done: trials with a result.
        missing: trials that have not run.
        total: trials in all.
        command: runs it again.
        spent: its cost so far.
        arms: name, label, overrides, params, macs, n, mean, sd, low, high, ema, seconds of each.
        answers: questions, then counts.
        warnings: what to know before believing it.
        fairness: why it is a fair miniature, and where it is not.
        differs: what differs from the paper.
        facts: commit, versions, machine, dates and more, by name.
        plots: names of its pictures.
    """

    folder: str
    study: str
    title: str
    question: str
    data: str
    scale: str
    seeds: int
    metric: str
    done: int
    missing: int
    total: int
    command: str
    spent: Spent
    arms: tuple[Mapping[str, Any], ...]
    answers: tuple[Answer, ...]
    warnings: tuple[str, ...]
    fairness: str
    differs: str
    facts: Mapping[str, str]
    plots: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether every trial has run; what has not decides nothing."""
        return not self.missing

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        return f"{self.done} of {self.total} trials"


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
        takes=takes(question, found, len(summary.questions)) if open_ else "",
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


def takes(question: Question, found: Comparison, family: int) -> str:
    """How many seeds an inconclusive question would need, with the spread that was seen.

    As `inception-jax plan` reckons: 80 % power at 5 % over all questions of the study. With a
    margin, for arms that do not differ; else for the paper's difference, or, where it has none,
    for the one that was seen.

    Args:
        question: the question.
        found: its comparison.
        family: number of questions of the study.
    """
    if found.sd == 0 or question.metric == outcomes.DIVERGED:
        return ""
    level = found.alpha / family
    power_of = power.tost_power if question.direction == "equivalent" else power.t_power
    paper = paper_difference(question)
    if question.margin:
        effect, what = question.margin, f"for a margin of {wording.points(question.margin)}"
    elif paper:
        effect, what = abs(paper), f"for the paper's {wording.points(paper, sign=True)}"
    else:
        effect = abs(found.mean)
        what = f"for {wording.points(found.mean, sign=True)}, if that is the true difference"
    if effect == 0:
        return ""
    seeds = power.seeds_needed(lambda n: power_of(effect / found.sd, n, level), POWER)
    needed = f"about {seeds:,}" if seeds else f"more than {power.MOST_SEEDS:,}"
    return f"{needed} seeds {what} ({found.n} here)"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def write(path: Path, record: Record) -> None:
    """Writes `summary.json`."""
    store.write_json(path, {"format": _FORMAT, **dataclasses.asdict(record)})


def read(path: Path) -> Record:
    """The record of a `summary.json`.

    Raises:
        UserError: the file is no such record.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("another format")
        answers = tuple(Answer(**answer) for answer in data.pop("answers"))
        if any(answer.verdict not in get_args(Verdict) for answer in answers):
            raise ValueError("no such verdict")
        rest = {key: tuple(data.pop(key)) for key in ("arms", "warnings", "plots")}
        return Record(spent=Spent(**data.pop("spent")), answers=answers, **rest, **data)
    except OSError as error:
        raise errors.UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.UserError(
            f"{path} is not a published study's summary; delete its folder and publish it again"
        ) from None


def read_all(folder: Path) -> list[Record]:
    """Every study that was published in `folder`, by name; none where the folder is not there.

    Raises:
        UserError: a summary cannot be read.
    """
    return [read(path) for path in sorted(folder.glob(f"*/{FILE}"))]

"""Everything a report says, as data: computed from the study's folder, printed elsewhere."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inception_jax.study import costs, early, images, outcomes, search, spent, stats, store
from inception_jax.study.costs import ArmCost, CostRow
from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.images import ImageComparison
from inception_jax.study.spent import Spent
from inception_jax.study.stats import Comparison, Verdict
from inception_jax.study.store import Trial

_LONGEST = 1000  # characters of a fact


@dataclass(frozen=True)
class ArmRow:
    """One arm: its cost, and mean and spread of the metric over the seeds that are done.

    `mean` is nan without a seed, `sd` without two; `ema` and `ema_sd` are of the averaged
    parameters, nan where there are none. `low` and `high` are the 95 % interval of the mean.
    """

    arm: Arm
    cost: ArmCost | None
    n: int
    mean: float
    sd: float
    low: float
    high: float
    ema: float
    ema_sd: float
    seconds: float


@dataclass(frozen=True)
class QuestionRow:
    """One accuracy claim: its comparison, Holm-adjusted p, and the verdict that p gives."""

    question: Question
    comparison: Comparison | None
    p_adjusted: float
    verdict: Verdict


@dataclass(frozen=True)
class Summary:
    """All that a report shows.

    Attributes:
        study: as registered in the folder.
        trials: every trial, in whatever state.
        arms: a row for each arm.
        questions: a row for each accuracy claim.
        images: the same claims image by image; None where the trials left no predictions.
        costs: a row for each cost claim.
        early: what the looks came to; empty without early decisions.
        spent: what its finished trials have cost.
        warnings: what a reader should know before believing the table.
        facts: (name, text) pairs on versions, commit, machine and dates.
    """

    study: Study
    trials: tuple[Trial, ...]
    arms: tuple[ArmRow, ...]
    questions: tuple[QuestionRow, ...]
    images: tuple[ImageComparison | None, ...]
    costs: tuple[CostRow, ...]
    early: tuple[str, ...]
    spent: Spent
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def done(self) -> int:
        """Trials that have a result."""
        return sum(trial.state == "done" for trial in self.trials)

    @property
    def missing(self) -> int:
        """Trials that have yet to run; while there are any, no verdict is final."""
        return sum(trial.state == "missing" for trial in self.trials)


def summarise(root: Path) -> Summary:
    """Reads the study's folder and computes every table.

    Raises:
        UserError: the folder holds no study.
    """
    study = store.read_study(root)
    asked = outcomes.asked(study)
    trials = [outcomes.add(root, trial, asked) for trial in store.read_trials(root, study)]
    counted = costs.read(root)
    decisions = early.decide(study, trials, early.left_out(root)) if study.early else []
    if study.early:
        trials = early.without_spared(study, trials, decisions)
    own = by_arm(study, trials)
    macs = {arm: cost.macs for arm, cost in counted.items()}
    measures = costs.read_measures(root)
    return Summary(
        study=study,
        trials=tuple(trials),
        arms=tuple(
            _arm_row(study, arm, own[arm.name], counted.get(arm.name)) for arm in study.arms
        ),
        questions=tuple(
            QuestionRow(found.question, found.comparison, found.p_adjusted, found.verdict)
            for found in decisions
        )
        or question_rows(study, own),
        images=images.of_questions(root, study, trials),
        costs=tuple(costs.decide(claim, macs, measures) for claim in study.costs),
        early=early.notes(study, trials, decisions) if study.early else (),
        spent=spent.of_study(root, study, trials, counted),
        warnings=(*_warnings(study, trials), *search.warnings(root, study)),
        facts=(*_facts(root, study, trials), *search.facts(root, study)),
    )


def by_arm(study: Study, trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """The trials of each arm, so that nobody looks through all of them for one."""
    found: dict[str, list[Trial]] = {arm.name: [] for arm in study.arms}
    for trial in trials:
        found[trial.arm].append(trial)
    return found


def values(trials: Sequence[Trial], arm: str, metric: str) -> dict[int, float]:
    """The metric of each seed of an arm that is done."""
    return {
        trial.seed: trial.metrics[metric]
        for trial in trials
        if trial.arm == arm and trial.state == "done" and metric in trial.metrics
    }


def pairs(
    study: Study, trials: Sequence[Trial], question: Question
) -> dict[int, tuple[float, float]]:
    """(treatment, baseline) of each seed that is done in both arms."""
    metric = study.metric_of(question)
    treatment = values(trials, question.treatment, metric)
    baseline = values(trials, question.baseline, metric)
    return {
        seed: (treatment[seed], baseline[seed]) for seed in sorted(treatment) if seed in baseline
    }


def ema_metric(metric: str) -> str:
    """The same metric of the averaged parameters: test_top1 -> test_ema_top1."""
    split, _, name = metric.partition("_")
    return f"{split}_ema_{name}"


def _spread(sample: Sequence[float]) -> tuple[float, float]:
    mean = statistics.fmean(sample) if sample else math.nan
    return mean, statistics.stdev(sample) if len(sample) > 1 else math.nan


def _arm_row(study: Study, arm: Arm, trials: Sequence[Trial], cost: ArmCost | None) -> ArmRow:
    sample = list(values(trials, arm.name, study.metric).values())
    averaged = list(values(trials, arm.name, ema_metric(study.metric)).values())
    mean, sd = _spread(sample)
    low, high = stats.interval(sample)
    ema, ema_sd = _spread(averaged)
    seconds = [
        float(trial.record["seconds"])
        for trial in trials
        if trial.arm == arm.name and trial.state == "done"
    ]
    return ArmRow(arm, cost, len(sample), mean, sd, low, high, ema, ema_sd, _spread(seconds)[0])


def question_rows(study: Study, own: Mapping[str, list[Trial]]) -> tuple[QuestionRow, ...]:
    """Every question's comparison over the pairs that are done, decided with Holm's adjustment.

    Args:
        study: whose questions are asked.
        own: of `by_arm`.
    """
    comparisons: list[Comparison | None] = []
    for question in study.questions:
        both = [*own[question.treatment], *own[question.baseline]]
        seeds = pairs(study, both, question)
        comparison = (
            stats.compare(
                [treatment for treatment, _ in seeds.values()],
                [baseline for _, baseline in seeds.values()],
                question.direction,
                question.margin,
            )
            if len(seeds) > 1
            else None
        )
        counted = comparison and outcomes.counted(study, question)
        comparisons.append(stats.exact(comparison) if comparison and counted else comparison)
    adjusted = stats.holm(comparisons)
    return tuple(
        QuestionRow(question, comparison, p, verdict)
        for question, comparison, (p, verdict) in zip(
            study.questions, comparisons, adjusted, strict=True
        )
    )


def _warnings(study: Study, trials: Sequence[Trial]) -> list[str]:
    found: list[str] = []
    missing = [trial for trial in trials if trial.state == "missing"]
    if missing:
        found.append(f"Unfinished: {len(missing)} of {len(trials)} trials have not run yet.")
    bad = [trial for trial in trials if trial.state not in ("done", "missing", "spared")]
    for trial in bad[:5]:
        found.append(f"{trial.arm} seed {trial.seed} {trial.state}: {trial.reason}")
    if len(bad) > 5:
        found.append(f"... and {len(bad) - 5} more trials without a result.")
    commits = sorted(_distinct(trials, "commit"))
    if len(commits) > 1:
        found.append(f"The trials come from {len(commits)} commits: {', '.join(commits)}.")
    for key, what in (("versions", "set of library versions"), ("machine", "kind of machine")):
        if len(_distinct(trials, key)) > 1:
            found.append(f"The trials ran on more than one {what}: their rounding may differ.")
    if 0 < study.planned_seeds < study.seeds:
        found.append(
            f"Extended from {study.planned_seeds} to {study.seeds} seeds after results were there: "
            "p does not account for having looked."
        )
    return found + _twins(study, trials)


def _twins(study: Study, trials: Sequence[Trial]) -> list[str]:
    """Arms that ended in the same parameters: an override that changes nothing."""
    owners: dict[tuple[int, Any], list[str]] = {}
    for trial in trials:
        if trial.state == "done" and trial.record["params_sha256"]:  # "" where it diverged
            key = (trial.seed, trial.record["params_sha256"])
            owners.setdefault(key, []).append(trial.arm)
    groups = {tuple(arms) for arms in owners.values() if len(arms) > 1}
    return [
        f"Arms {' and '.join(group)} end in identical parameters: they are the same program."
        for group in sorted(groups)
    ]


def _distinct(trials: Sequence[Trial], key: str) -> set[str]:
    return {
        text(trial.record.get(key))
        for trial in trials
        if trial.state == "done" and trial.record.get(key)
    }


def text(value: Any) -> str:
    """A versions or machine record on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(part)}" for name, part in value.items())
    return str(value)[:_LONGEST]


def _training(root: Path, study: Study, trials: Sequence[Trial]) -> str:
    """How long and at what rate the arms trained; where arms differ, every value."""
    shown = {
        "data.batch_size": "batch {}",
        "train.epochs": "{} epochs",
        "optim.name": "{}",
        "optim.learning_rate": "learning rate {}",
    }
    found: dict[str, list[str]] = {key: [] for key in shown}
    for arm in study.arms:
        config = store.read_json(store.trial_folder(root, arm.name, 0) / store.CONFIG_FILE)
        for key, values in found.items():
            group, _, leaf = key.partition(".")
            held = config.get(group) if isinstance(config, dict) else None
            if isinstance(held, dict) and leaf in held and str(held[leaf]) not in values:
                values.append(str(held[leaf]))
    parts = [shown[key].format(" or ".join(values)) for key, values in found.items() if values]
    steps = sorted({int(t.record["steps"]) for t in trials if t.state == "done"})
    return ", ".join([*parts, *([f"{' or '.join(map(str, steps))} steps"] if steps else [])])


def _facts(root: Path, study: Study, trials: Sequence[Trial]) -> list[tuple[str, str]]:
    started = sorted(_distinct(trials, "started"))
    finished = sorted(_distinct(trials, "finished"))
    of_trials = [
        ("data", study.data),
        ("scale", study.scale),
        ("seeds", str(study.seeds)),
        ("metric", study.metric),
        ("training", _training(root, study, trials)),
    ]
    if not study.arms:
        return list(costs.origin(root).items())
    rows = [
        *of_trials,
        ("dates", " to ".join([*started[:1], *finished[-1:]])),
        ("commit", "; ".join(sorted(_distinct(trials, "commit")))),
        ("machine", "; ".join(sorted(_distinct(trials, "machine")))),
        ("versions", "; ".join(sorted(_distinct(trials, "versions")))),
    ]
    return [(name, value) for name, value in rows if value]

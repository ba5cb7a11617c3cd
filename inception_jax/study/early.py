"""Early decisions: which questions of a study are settled by a look, and what need not run then.

The looks and the spending function stand in the study's file (`definition.Early`). A look at n
seeds takes the first n seeds of both arms of a question, whatever else has run. Its p value becomes
a sequential one (`sequential.Looks.sequential_p`), and Holm's adjustment over all questions of the
study is made of those: the group-sequential Holm procedure (Ye, Li, Liu and Yao 2013, Statistics in
Medicine 32), a closed test in which each intersection of questions spends its level over the looks.
So the chance of any false verdict is kept, however often the study was looked at.

Everything is computed from the trials, and from which of them a look had to do without: a trial
that had failed then stays out, though it may be run again, so that a study that is resumed decides
what it decided.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inception_jax.study import outcomes, sequential, stats, store
from inception_jax.study.definition import Question, Study
from inception_jax.study.launch import Job
from inception_jax.study.sequential import Looks
from inception_jax.study.stats import Comparison, Verdict
from inception_jax.study.store import Trial

LOOKS_FILE = "looks.json"
Values = Mapping[str, Mapping[int, float]]  # arm -> seed -> metric


@dataclass(frozen=True)
class Decision:
    """What the looks so far say about one question.

    Attributes:
        comparison: at the look that settled it, else at the last look so far, with sequential p
            values and the interval that holds at all looks together; None before the first look.
        p_adjusted: the sequential p after Holm's adjustment over the study; nan before a look.
        verdict: that it gives.
        seeds: of the look that settled it; 0 while it is open.
        looks: how many looks it has had.
    """

    question: Question
    comparison: Comparison | None
    p_adjusted: float
    verdict: Verdict
    seeds: int
    looks: int


def seeds_of_looks(study: Study) -> tuple[int, ...]:
    """The number of seeds at each look; one with too few for a t test is left out, but the last."""
    assert study.early is not None
    planned = study.planned_seeds or study.seeds
    counts = sorted({math.ceil(share * planned - 1e-9) for share in study.early.looks})
    return tuple(n for n in counts if n >= sequential.FEWEST_PAIRS or n == planned)


def read(root: Path, study: Study) -> list[Decision]:
    """As `decide`, of the trials in the study's folder."""
    asked = outcomes.asked(study)
    trials = [outcomes.add(root, t, asked) for t in store.read_trials(root, study)]
    return decide(study, trials, left_out(root))


def left_out(root: Path) -> frozenset[tuple[str, int]]:
    """(arm, seed) of the trials that a look had to do without."""
    held = store.read_json(root / LOOKS_FILE)
    found = held.get("left_out") if isinstance(held, dict) else None
    return frozenset(
        (entry[0], entry[1])
        for entry in (found if isinstance(found, list) else ())
        if isinstance(entry, list) and list(map(type, entry)) == [str, int]
    )


def _take_look(root: Path, study: Study, seeds: int) -> None:
    """Notes what failed of the first seeds, before anything is decided by the others."""
    failed = {
        (trial.arm, trial.seed)
        for trial in store.read_trials(root, study)
        if trial.seed < seeds and trial.state not in ("done", "missing")
    }
    noted = left_out(root)
    if failed - noted:
        keys = [list(key) for key in sorted(failed | noted)]
        store.write_json(root / LOOKS_FILE, {"left_out": keys})


def decide(
    study: Study,
    trials: Iterable[Trial],
    without: Collection[tuple[str, int]] = (),
) -> list[Decision]:
    """What each question's looks say, in the order of `study.questions`.

    A look is taken when no trial of its seeds is missing from either arm. One that failed is left
    out of the pairs, and the levels are those of the pairs that are there.

    Args:
        study: with `early`.
        trials: of the study, with the metrics that its questions are about.
        without: (arm, seed) of those that count as failed; see `left_out`.
    """
    first_missing = dict.fromkeys((arm.name for arm in study.arms), study.seeds)
    values: dict[str, dict[str, dict[int, float]]] = {}
    for trial in trials:
        if (trial.arm, trial.seed) in without:
            continue
        if trial.state == "missing":
            first_missing[trial.arm] = min(first_missing[trial.arm], trial.seed)
        for metric, value in trial.metrics.items():
            values.setdefault(metric, {}).setdefault(trial.arm, {})[trial.seed] = value
    had = [
        _looks_of(study, q, values.get(study.metric_of(q), {}), first_missing)
        for q in study.questions
    ]
    found = [Decision(q, None, math.nan, "inconclusive", 0, 0) for q in study.questions]
    for look, seeds in enumerate(seeds_of_looks(study)):
        found = [
            decision
            if decision.seeds or look >= len(own)
            else dataclasses.replace(decision, comparison=own[look], looks=look + 1)
            for own, decision in zip(had, found, strict=True)
        ]
        adjusted = stats.holm([decision.comparison for decision in found])
        found = [
            decision
            if decision.seeds
            else dataclasses.replace(
                decision,
                p_adjusted=p,
                verdict=verdict,
                seeds=0 if verdict == "inconclusive" else seeds,
            )
            for decision, (p, verdict) in zip(found, adjusted, strict=True)
        ]
    return found


def _looks_of(
    study: Study, question: Question, values: Values, first_missing: Mapping[str, int]
) -> list[Comparison | None]:
    """The comparison at each look that can be taken, in the light of those before it.

    None where a look has too few pairs. Where failures leave nothing new to look at, the look
    before is the one that counts.
    """
    assert study.early is not None
    counts = seeds_of_looks(study)
    fewest = sequential.FEWEST_PAIRS if counts[0] >= sequential.FEWEST_PAIRS else 2
    treatment, baseline = values.get(question.treatment, {}), values.get(question.baseline, {})
    ready = min(first_missing[question.treatment], first_missing[question.baseline])
    compared: list[Comparison] = []
    shares: list[float] = []
    found: list[Comparison | None] = []
    for seeds in (seeds for seeds in counts if seeds <= ready):
        both = [seed for seed in range(seeds) if seed in treatment and seed in baseline]
        if len(both) >= fewest and not (compared and len(both) == compared[-1].n):
            pairs = [treatment[seed] for seed in both], [baseline[seed] for seed in both]
            compared.append(stats.compare(*pairs, question.direction, question.margin))
            shares.append(seeds / counts[-1])
        if not compared or fewest == 2:
            found.append(compared[-1] if compared else None)
            continue
        pairs_at = tuple(one.n for one in compared)
        found.append(over_looks(Looks(pairs_at, tuple(shares), study.early.spending), compared))
    return found


def over_looks(looks: Looks, compared: Sequence[Comparison]) -> Comparison:
    """The last of several comparisons with the p and the interval that hold for all of them.

    Only looks that point to the side of the last one count: that can but lose power. The interval
    is the repeated one (Jennison and Turnbull 1989, JRSS B 51): with probability 1 - alpha it
    covers the true difference at every look.
    """
    last = compared[-1]
    alike = [_side(one) == _side(last) for one in compared]
    p = [one.p if same else 1.0 for one, same in zip(compared, alike, strict=True)]
    against = None
    if last.p_against is None:
        decisive = looks.sequential_p(p)[-1]
    else:
        # one-sided tests at alpha: the levels of two-sided ones at 2 alpha, halved
        decisive = looks.sequential_p(np.minimum(1.0, 2 * np.asarray(p)))[-1]
        decisive = decisive / 2 if decisive < 1 else 1.0
        outside = [1.0 if one.p_against is None else one.p_against for one in compared]
        outside = [value if same else 1.0 for value, same in zip(outside, alike, strict=True)]
        against = float(looks.sequential_p(outside)[-1])
    level = looks.levels(last.alpha)[-1]
    half = (
        (last.high - last.low)
        / 2
        * stats.critical(last.n, level)
        / stats.critical(last.n, last.alpha)
    )
    return dataclasses.replace(
        last,
        low=last.mean - half,
        high=last.mean + half,
        p=float(decisive),
        p_against=against,
        test=f"{last.test}, look {len(compared)}",
    )


def _side(comparison: Comparison) -> tuple[bool, bool]:
    """On which side of the null value, or of each margin, the mean lies."""
    margin = comparison.margin or 0.0
    if comparison.p_against is None:
        sign = -1.0 if comparison.direction == "less" else 1.0
        return sign * comparison.mean > -margin, True
    return comparison.mean > -margin, comparison.mean < margin


def needed(study: Study, decisions: Sequence[Decision]) -> set[str]:
    """The arms that still run: of an open question, what they evaluate, and those nobody asks of.

    An arm that no question is about has nothing to settle; it runs to its last seed.
    """
    members = {arm.name: arm.members for arm in study.arms}

    def with_members(arms: Iterable[str]) -> set[str]:
        return {name for arm in arms for name in (arm, *members[arm])}

    def of(questions: Iterable[Question]) -> set[str]:
        return with_members(arm for q in questions for arm in (q.treatment, q.baseline))

    unasked = {arm.name for arm in study.arms} - of(study.questions)
    return with_members(unasked) | of(d.question for d in decisions if not d.seeds)


def still_needed(root: Path, study: Study, jobs: Sequence[Job]) -> list[Job]:
    """The jobs of arms that still run, as the study's folder stands."""
    if study.early is None:
        return list(jobs)
    running = needed(study, read(root, study))
    return [job for job in jobs if job.arm in running]


def waves(
    root: Path, study: Study, jobs: Sequence[Job], spare: Callable[[Job], None]
) -> Iterator[list[Job]]:
    """What is to run up to each look in turn; what a look has made needless goes to `spare`.

    Args:
        root: the study's folder, which must hold the results of a wave when the next is asked for.
        study: with or without `early`; without, there is one wave.
        jobs: all that have no result.
        spare: is told of the others.
    """
    if study.early is None:
        yield list(jobs)
        return
    before = 0
    for upto in (*seeds_of_looks(study), study.seeds):
        wave = [job for job in jobs if before <= job.seed < upto]
        if before and wave:
            _take_look(root, study, before)
        before = max(before, upto)
        if wave:
            running = still_needed(root, study, wave)
            for job in set(wave) - set(running):
                spare(job)
            yield running


def without_spared(
    study: Study, trials: Sequence[Trial], decisions: Sequence[Decision]
) -> list[Trial]:
    """The trials, with those that never ran because nobody needs them marked "spared"."""
    running = needed(study, decisions)
    reason = "its questions are settled"
    return [
        dataclasses.replace(trial, state="spared", reason=reason)
        if trial.state == "missing" and trial.arm not in running
        else trial
        for trial in trials
    ]


_RULES = {"obrien_fleming": "O’Brien and Fleming", "pocock": "Pocock"}


def notes(study: Study, trials: Sequence[Trial], decisions: Sequence[Decision]) -> tuple[str, ...]:
    """What a report says of its looks: the rule, what each question came to, what was saved."""
    assert study.early is not None
    counts = seeds_of_looks(study)
    *first, last = map(str, counts)
    looks = f"{', '.join(first)} and {last}" if first else last
    rule = (
        f"Early decisions, by a rule fixed before the first trial: looks at {looks} seeds, error "
        f"spent as by {_RULES[study.early.spending]} (Lan and DeMets). p and intervals hold for "
        "all looks together, and the verdict follows Holm’s adjustment of these p over all "
        "questions, so 5 % is the chance of any false verdict in the whole study. The mean of a "
        "question that stopped early leans away from the null value; its interval does not."
    )
    settled = [f"{d.question.claim} at {d.seeds}" for d in decisions if d.seeds]
    unsettled = [d.question.claim for d in decisions if not d.seeds]
    came = f"Settled at a number of seeds: {', '.join(settled) or 'none'}"
    came += f"; not settled: {', '.join(unsettled)}." if unsettled else "."
    return rule, came, saved(trials)


def saved(trials: Sequence[Trial]) -> str:
    """How many trials were spared, and their time if each took its arm's mean."""
    seconds: dict[str, list[float]] = {}
    for trial in trials:
        if trial.state == "done":
            seconds.setdefault(trial.arm, []).append(float(trial.record["seconds"]))
    spared = [trial.arm for trial in trials if trial.state == "spared"]
    time = sum(sum(seconds[arm]) / len(seconds[arm]) for arm in spared if arm in seconds)
    return f"Spared: {len(spared)} of {len(trials)} trials, about {time / 60:.1f} min of training."

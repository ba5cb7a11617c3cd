"""The search before a study: every arm gets the same number of tries at one key, on validation.

Its trials are ordinary trials in DIR/search, of the study's own configs. The value with the best
mean validation metric is written to DIR/search.json before the first trial of the study proper
runs, and never chosen again; the scores of the test split are not read.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from inception_jax import errors
from inception_jax.study import store
from inception_jax.study.definition import Arm, Study

FOLDER, FILE = "search", "search.json"


def phase(study: Study) -> Study:
    """The search as a study: an arm for each value and arm, and no question.

    Values of one arm mostly share a compiled program, so they do not stand side by side: trials
    that start together would each compile it.
    """
    assert study.search is not None
    arms = (
        Arm(_name(arm, i), f"{arm.label}, {value:g}", {**arm.overrides, study.search.key: value})
        for i, value in enumerate(study.search.values)
        for arm in study.arms
    )
    return dataclasses.replace(
        study,
        arms=tuple(arms),
        questions=(),
        costs=(),
        search=None,
        early=None,
        seeds=study.search.seeds,
        metric=study.search.metric,
        overrides={**study.overrides, "train.record_divergence": True},
    )


def _name(arm: Arm, index: int) -> str:
    return f"{arm.name}.{index}"


def choose(root: Path, study: Study) -> dict[str, Any]:
    """Reads the finished search and writes the choice of every arm.

    A value of which a trial diverged is not chosen.

    Returns:
        Arm -> {"value": the chosen one, "scores": the mean of each value tried, None where a trial
        diverged}.

    Raises:
        UserError: a trial is missing, or all of an arm diverged.
    """
    assert study.search is not None
    trials = store.read_trials(root / FOLDER, phase(study))
    missing = [trial for trial in trials if trial.state != "done"]
    if missing:
        raise errors.UserError(
            f"{len(missing)} trials of the search have no result ({missing[0].arm} seed "
            f"{missing[0].seed}: {missing[0].reason}); run the study again"
        )
    found: dict[str, Any] = {}
    for arm in study.arms:
        scores = []
        for index in range(len(study.search.values)):
            own = [trial.metrics for trial in trials if trial.arm == _name(arm, index)]
            known = [metrics.get(study.search.metric, math.nan) for metrics in own]
            mean = fmean(known)
            scores.append(mean if math.isfinite(mean) else None)
        best = max(range(len(scores)), key=lambda i: -1.0 if scores[i] is None else scores[i])
        if scores[best] is None:
            raise errors.UserError(
                f"every try of arm {arm.name!r} at {study.search.key} diverged, or there is no "
                f"{study.search.metric}; the study needs other values"
            )
        found[arm.name] = {"value": study.search.values[best], "scores": scores}
    store.write_json(root / FILE, found)
    return found


def read(root: Path) -> Mapping[str, Any] | None:
    """The choice that was made; None before it."""
    found = store.read_json(root / FILE)
    if not isinstance(found, dict):
        return None
    chosen = [entry.get("value") if isinstance(entry, dict) else None for entry in found.values()]
    return found if all(isinstance(value, int | float) for value in chosen) else None


def apply(study: Study, choice: Mapping[str, Any]) -> Study:
    """The study with each arm at its chosen value."""
    assert study.search is not None
    key = study.search.key
    arms = (
        dataclasses.replace(arm, overrides={**arm.overrides, key: choice[arm.name]["value"]})
        for arm in study.arms
    )
    return dataclasses.replace(study, arms=tuple(arms))


def facts(root: Path, study: Study) -> list[tuple[str, str]]:
    """What was tried and chosen, as a (name, text) pair for the report."""
    choice = read(root)
    if study.search is None or choice is None or {arm.name for arm in study.arms} - set(choice):
        return []
    values = ", ".join(f"{value:g}" for value in study.search.values)
    chosen = "; ".join(
        f"{arm.label} {choice[arm.name]['value']:g}{_scored(choice[arm.name].get('scores'))}"
        for arm in study.arms
    )
    text = f"of {values} by {study.search.metric}, {study.search.seeds} seeds each: {chosen}"
    return [(f"search of {study.search.key}", text)]


def _scored(scores: Any) -> str:
    """What each value scored, in percent, as in " (79.6, 92.0, –)"; "" where that is not known."""
    if not isinstance(scores, list) or not all(isinstance(s, float | None) for s in scores):
        return ""
    shown = ("–" if score is None else f"{100 * score:.1f}" for score in scores)
    return f" ({', '.join(shown)})"


def warnings(root: Path, study: Study) -> list[str]:
    """A sentence for the arms whose choice lies at an end of what was tried."""
    choice = read(root)
    if study.search is None or choice is None or {arm.name for arm in study.arms} - set(choice):
        return []
    ends = (study.search.values[0], study.search.values[-1])
    at = [arm.label for arm in study.arms if choice[arm.name]["value"] in ends]
    if not at:
        return []
    return [
        f"The search of {study.search.key} ended at the lowest or highest value for "
        f"{', '.join(at)}: a wider one might find better."
    ]

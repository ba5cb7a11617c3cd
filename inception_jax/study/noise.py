"""The spread of paired differences that a plan reckons with: from earlier results, or assumed."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.study import outcomes, runner, store, tables
from inception_jax.study.definition import Question, Study
from inception_jax.study.store import Trial

# Where nothing was measured, sd of a difference in the metric's unit. Default: the studies of
# docs/results pool to 0.6 to 3 points, most of them to about 1.
# Paper: an assumption, that two ImageNet runs of one recipe end 0.2 points apart.
ASSUMED = {"smoke": 0.03, "default": 0.01, "paper": 0.002}
_CONFIDENCE = 0.8


@dataclass(frozen=True)
class Noise:
    """The sd of one question's paired differences.

    Attributes:
        sd: in the metric's unit.
        df: degrees of freedom behind it; 0 where it is assumed.
        kind: "measured" on this question, "pooled" over the study's others, or "assumed".
    """

    sd: float
    df: int
    kind: str

    @property
    def high(self) -> float:
        """Upper 80 % confidence limit of the sd: what a cautious plan uses (Browne 1995)."""
        if not self.df:
            return self.sd
        from scipy import stats as scipy_stats

        return self.sd * math.sqrt(self.df / float(scipy_stats.chi2.ppf(1 - _CONFIDENCE, self.df)))


@dataclass(frozen=True)
class Earlier:
    """Earlier results of a study: a noise for each question, and how long its trials took.

    Attributes:
        noises: in the order of the study's questions.
        source: where they come from, for people.
        seconds: mean of the trials' wall-clock time, None without results.
        machine: that they ran on.
    """

    noises: tuple[Noise, ...]
    source: str
    seconds: float | None = None
    machine: str = ""


def fit(study: Study, results: Path | None = None, data: str | None = None) -> Earlier:
    """The noise of each question of `study`.

    Args:
        study: at the scale and on the data set that is planned.
        results: a study's folder, a folder with `trials.csv`, or one that has either under the
            study's name; None looks in runs/ and in the committed docs/results/.
        data: another data set than the study's own, as it was asked for; part of a folder's name.

    Raises:
        UserError: `results` was given and holds no finished pair of the study's arms.
    """
    name = runner.default_workdir(study.name, data, study.scale).name
    committed = config_lib.folder("experiments").parent / "docs" / "results"
    places = [results] if results else [Path("runs"), committed]
    for folder in [*([results] if results else []), *(place / name for place in places)]:
        trials = _read(folder, study)
        samples = [_differences(study, trials, question) for question in study.questions]
        if any(len(sample) > 1 for sample in samples):
            return _earlier(study, trials, samples, folder)
    if results:
        raise errors.UserError(
            f"{results} holds no two seeds of a pair of arms of study {study.name!r}; give the "
            "folder that `inception-jax study` wrote, or one with its trials.csv"
        )
    noise = Noise(ASSUMED[study.scale], 0, "assumed")
    return Earlier((noise,) * len(study.questions), "no earlier results")


def _differences(study: Study, trials: Sequence[Trial], question: Question) -> list[float]:
    pairs = tables.pairs(study, trials, question).values()
    return [treatment - baseline for treatment, baseline in pairs]


def _earlier(
    study: Study, trials: Sequence[Trial], samples: Sequence[list[float]], folder: Path
) -> Earlier:
    metrics = list(map(study.metric_of, study.questions))
    noises = tuple(
        Noise(statistics.stdev(sample), len(sample) - 1, "measured")
        if len(sample) > 1 and statistics.variance(sample) > 0
        else _pooled(
            [other for other, its in zip(samples, metrics, strict=True) if its == metric],
            ASSUMED[study.scale],
        )
        for sample, metric in zip(samples, metrics, strict=True)
    )
    done = [trial for trial in trials if trial.state == "done"]
    seconds = statistics.fmean(float(trial.record["seconds"]) for trial in done)
    machine = "; ".join(sorted({tables.text(trial.record.get("machine", "")) for trial in done}))
    return Earlier(noises, _shown(folder), seconds, machine.partition(", cores")[0])


def _pooled(samples: Sequence[list[float]], assumed: float) -> Noise:
    """Of the questions about one metric; `assumed` where none of them was measured."""
    known = [sample for sample in samples if len(sample) > 1]
    df = sum(len(sample) - 1 for sample in known)
    squares = sum((len(sample) - 1) * statistics.variance(sample) for sample in known)
    if not squares:  # differences that never vary say that the arms are one program
        return Noise(assumed, 0, "assumed")
    return Noise(math.sqrt(squares / df), df, "pooled")


def _shown(folder: Path) -> str:
    """The folder, relative to where the user is where that is shorter."""
    try:
        return str(folder.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def _read(folder: Path, study: Study) -> list[Trial]:
    """The trials of a study's folder, or of its `trials.csv`; none where there is neither.

    A study's folder of another scale, data set or other arms is no source: it is passed over.
    """
    if (folder / store.STUDY_FILE).is_file():
        held = store.read_study(folder)
        same = (held.name, held.scale, held.data) == (study.name, study.scale, study.data)
        read = store.read_trials(folder, held) if same else []
        return [outcomes.add(folder, trial, outcomes.asked(study)) for trial in read]
    table = folder / "trials.csv"
    if not table.is_file():
        return []
    try:
        with table.open(encoding="utf-8", newline="") as file:
            metrics = (study.metric, *outcomes.asked(study))
            return [_trial(row, metrics) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise errors.UserError(
            f"{table} is not a study's table of trials ({type(error).__name__}: {error}); "
            "`inception-jax report DIR` writes one"
        ) from None


def _trial(row: dict[str, str], metrics: Sequence[str]) -> Trial:
    found = {metric: float(row[metric]) for metric in metrics if row.get(metric)}
    if row["state"] != "done" or not found:
        return Trial(row["arm"], int(row["seed"]), "missing")
    record = {"seconds": float(row["seconds"]), "machine": row.get("machine", "")}
    return Trial(row["arm"], int(row["seed"]), "done", found, record)

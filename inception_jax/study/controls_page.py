"""The controls' table: how often each answer came, its exact interval, and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inception_jax import files
from inception_jax.data.builders import controls as builder
from inception_jax.study import power
from inception_jax.study.controls import Pilot
from inception_jax.study.definition import Study
from inception_jax.train import result

Line = Mapping[str, Any]
_AA, _PLANTED, _AA_EQUAL, _PLANTED_EQUAL = range(4)  # the study's questions


@dataclass(frozen=True)
class Rate:
    """How often something happened in the repeats.

    Attributes:
        what: in words.
        times: repeats in which it did.
        repeats: all of them.
        expected: its probability, or the most that it may be.
        at_most: which of the two.
    """

    what: str
    times: int
    repeats: int
    expected: float
    at_most: bool = True

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of the probability (Clopper and Pearson)."""
        from scipy import stats

        found = stats.binomtest(self.times, self.repeats).proportion_ci(method="exact")
        return float(found.low), float(found.high)

    @property
    def holds(self) -> bool:
        """Whether the interval allows what is expected."""
        low, high = self.interval
        return low <= self.expected and (self.at_most or self.expected <= high)


def shift(study: Study, accuracy: float) -> float:
    """Expected loss of the planted arm, for networks of this accuracy on images with a signal.

    Of g groups of K images without a signal one image each is right: g (K accuracy - 1) / N.
    """
    planted = study.arm(study.questions[_PLANTED].treatment)
    options = study.config(planted, 0).data.options.to_dict()
    classes = len(builder.bundle(options).class_names)
    share = builder.planted_effect(options) / (classes - 1)  # g / N
    return share * (classes * accuracy - 1)


def rates(study: Study, pilot: Pilot, lines: Sequence[Line], alpha: float = 0.05) -> list[Rate]:
    """The rows of the table."""
    margin, smaller = (study.questions[at].margin or 0.0 for at in (_AA_EQUAL, _PLANTED_EQUAL))
    loss, n = shift(study, pilot.accuracy) / pilot.sd, study.seeds

    def count(happened: Callable[[Line], bool]) -> int:
        return sum(bool(happened(line)) for line in lines)

    def verdict(question: int, key: str = "verdict") -> Callable[[Line], str]:
        return lambda line: line["questions"][question][key]

    def wrong(line: Line) -> bool:
        said = [row["verdict_holm"] for row in line["questions"]]
        return (
            said[_AA] != "inconclusive"
            or said[_PLANTED] == "contradicted"
            or said[_AA_EQUAL] == "contradicted"
            or said[_PLANTED_EQUAL] == "supported"
        )

    rows: tuple[tuple[str, Callable[[Line], bool], float, bool], ...] = (
        (
            "A/A: a difference is called (paired t)",
            lambda line: verdict(_AA)(line) != "inconclusive",
            alpha,
            False,
        ),
        (
            "A/A: the sign-flip test is below 5 %",
            lambda line: line["questions"][_AA]["p_sign_flip"] < alpha,
            alpha,
            True,
        ),
        (
            "A/A: the interval over seeds and images excludes 0",
            lambda line: not line["two_level"][0] <= 0 <= line["two_level"][1],
            alpha,
            True,
        ),
        (
            f"A/A: called equal within ±{100 * margin:g} points",
            lambda line: verdict(_AA_EQUAL)(line) == "supported",
            power.tost_power(margin / pilot.sd, n, alpha),
            False,
        ),
        (
            "planted loss: found",
            lambda line: verdict(_PLANTED)(line) == "supported",
            power.t_power(loss, n, alpha),
            False,
        ),
        (
            "planted loss: called a gain",
            lambda line: verdict(_PLANTED)(line) == "contradicted",
            alpha / 2,
            True,
        ),
        (
            f"planted loss: called equal within ±{100 * smaller:g} points",
            lambda line: verdict(_PLANTED_EQUAL)(line) == "supported",
            alpha,
            True,
        ),
        ("any wrong verdict of the four, after Holm", wrong, alpha, True),
    )
    return [Rate(what, count(of), len(lines), at, most) for what, of, at, most in rows]


def write(folder: Path, study: Study, pilot: Pilot, lines: Sequence[Line], measured: Pilot) -> Path:
    """Writes FOLDER/controls.md, for docs/results, and returns its path.

    Raises:
        UserError: it cannot be written.
    """
    path = folder / "controls.md"
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page(study, pilot, lines, measured))
    return path


def page(study: Study, pilot: Pilot, lines: Sequence[Line], measured: Pilot) -> str:
    """The page as Markdown.

    Args:
        study: the controls.
        pilot: what was planned with.
        lines: the repeats.
        measured: the same of the repeats.
    """
    networks = study.seeds * len(study.arms)
    minutes = sum(line["seconds"] for line in lines) / 60
    planned, seen = (shift(study, found.accuracy) for found in (pilot, measured))
    table = "\n".join(_row(rate) for rate in rates(study, pilot, lines))
    facts = "\n".join(
        f"| {name} | {100 * before:.2f} | {100 * after:.2f} |"
        for name, before, after in (
            ("accuracy, %", pilot.accuracy, measured.accuracy),
            ("sd of a seed's difference, points", pilot.sd, measured.sd),
            ("planted loss, points", planned, seen),
        )
    )
    versions = ", ".join(f"{name} {version}" for name, version in result.versions().items())
    return f"""# Controls

{study.question} Four questions with known answers, repeated {len(lines)} times, each time on new
synthetic images: {study.seeds} seeds of {len(study.arms)} arms a repeat, {len(lines)} × {networks}
networks in all. What the arms are, and what was fixed before the first repeat, stands in
`experiments/controls.py`.

| what | expected | seen | exact 95 % interval | agrees |
|---|---:|---:|---:|---|
{table}

Expected is the nominal level (≤: the most that it may be), or the power that was planned with the
pilot's spread. Rows but the last are of single questions at 5 %, two-sided; the last is of a study
with all four, as reports decide it. The sign-flip test of eight seeds has steps of 1/128, and the
interval over seeds and images is conservative, so both may stay below 5 %. That the planted loss is
called equal has no fixed probability below 5 %, as the loss is above the margin.

| | pilot ({pilot.repeats} repeats on other images) | here |
|---|---:|---:|
{facts}

Made by `inception-jax controls --repeats {len(lines)} --publish docs/results`: {minutes:.0f} min of
one process; commit {result.commit() or "unknown"}; {versions}.
"""


def _row(rate: Rate) -> str:
    low, high = rate.interval
    sign = "≤ " if rate.at_most else ""
    return (
        f"| {rate.what} | {sign}{100 * rate.expected:.1f} % | "
        f"{100 * rate.times / rate.repeats:.1f} % ({rate.times}) | "
        f"{100 * low:.1f} to {100 * high:.1f} % | {'yes' if rate.holds else '**no**'} |"
    )

"""Paired comparison of two arms over seeds, and the verdict that follows from it.

The unit is the difference of one seed (treatment minus baseline), so noise that a seed shares
between arms cancels. scipy and statsmodels do the arithmetic; they are imported on first use.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inception_jax.study import power
from inception_jax.study.definition import DIRECTIONS

Verdict = Literal["supported", "contradicted", "inconclusive"]
POWER = 0.8
_EXACT_PAIRS = 13  # sign flips are enumerated up to 2**13, drawn at random beyond


@dataclass(frozen=True)
class Comparison:
    """What the seeds say about treatment minus baseline; unit: the metric's own.

    Attributes:
        mean: of the paired differences.
        sd: of the paired differences (n - 1 in the denominator).
        n: pairs.
        low: lower end of the two-sided paired-t interval at level 1 - alpha.
        high: its upper end.
        p: of `test`. Two-sided against 0, or against the margin for non-inferiority; for
            equivalence the larger of the two one-sided p values.
        verdict: from the interval (equivalence: from p and the interval), unadjusted.
        test: name of the test.
        smallest_detectable: smallest true distance from the null value that n pairs of this sd
            find with 80 % power.
        direction: "greater", "less" or "equivalent".
        margin: as given.
        alpha: level of the test.
        p_sign_flip: two-sided sign-flip permutation test of the mean against 0, a second opinion
            without a normal distribution in it; exact up to 13 pairs, 9,999 draws beyond.
        p_against: equivalence only: two-sided p of lying outside the margin.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float
    p: float
    verdict: Verdict
    test: str
    smallest_detectable: float
    direction: str
    margin: float | None
    alpha: float
    p_sign_flip: float
    p_against: float | None = None

    @property
    def decisive_p(self) -> float:
        """The p value that enters Holm's adjustment: of the verdict that is nearer."""
        return self.p if self.p_against is None else min(self.p, self.p_against)


def compare(
    treatment: npt.ArrayLike,
    baseline: npt.ArrayLike,
    direction: str = "greater",
    margin: float | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Compares two arms paired by seed.

    * "greater", "less" without a margin: supported if the two-sided paired-t interval excludes 0
      on the claimed side, contradicted if on the other.
    * "greater" with a margin (non-inferiority; "less" is its mirror): supported if the interval
      lies above -margin, contradicted if below.
    * "equivalent": supported if two one-sided tests (TOST) place the difference within
      +-margin, contradicted if the interval lies wholly outside.

    Differences that are all zero are inconclusive with p = 1 whatever the direction: arms that
    agree to the last bit are most likely the same program.

    Args:
        treatment: f[n], the metric of each seed.
        baseline: f[n], in the same order of seeds.
        direction: "greater", "less" or "equivalent".
        margin: in the metric's unit.
        alpha: two-sided level.

    Raises:
        ValueError: fewer than two pairs, unequal lengths, a value that is not finite, an unknown
            direction, or a margin that is missing or negative.
    """
    _check(direction, margin, alpha)
    difference = _differences(treatment, baseline)
    n = len(difference)
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    if np.ptp(difference) <= 1e-12 * max(1.0, float(np.abs(difference).max())):
        sd = 0.0  # what spread there is, is rounding
    low, high = _interval(mean, sd, n, alpha)
    partial = Comparison(
        mean=mean,
        sd=sd,
        n=n,
        low=low,
        high=high,
        p=1.0,
        verdict="inconclusive",
        test="none: the arms are identical",
        smallest_detectable=sd * power.detectable(n, alpha, POWER),
        direction=direction,
        margin=margin,
        alpha=alpha,
        p_sign_flip=_sign_flip(difference),
        p_against=1.0 if direction == "equivalent" else None,
    )
    if not difference.any():
        return partial
    decided = _equivalence(partial, difference) if direction == "equivalent" else _one_null(partial)
    return dataclasses.replace(decided, verdict=verdict(decided, decided.decisive_p))


def exact(comparison: Comparison) -> Comparison:
    """The comparison of outcomes that are 0 or 1, decided by McNemar's exact test.

    Of the pairs that differ each side has half where there is no difference. The interval is that
    of Clopper and Pearson for this share, given how many pairs differ, so that it excludes 0 where
    p is below alpha, and stays within -1 and 1; without any it is left as it is.

    Raises:
        ValueError: the comparison has a margin, against which the test does not hold.
    """
    from scipy import stats as scipy_stats

    if comparison.margin or comparison.p_against is not None:
        raise ValueError("McNemar's test is against no difference: leave out the margin")
    n, alpha = comparison.n, comparison.alpha
    squares = comparison.sd**2 * (n - 1) + n * comparison.mean**2
    differ = round(squares)  # each difference is -1, 0 or 1
    name = "McNemar's, exact, two-sided"
    if not differ:
        return dataclasses.replace(comparison, smallest_detectable=math.nan, test=name)
    above = round((differ + n * comparison.mean) / 2)
    test = scipy_stats.binomtest(above, differ)
    share = test.proportion_ci(1 - alpha, method="exact")
    low, high = ((2 * float(end) - 1) * differ / n for end in (share.low, share.high))
    decided = dataclasses.replace(
        comparison,
        low=low,
        high=high,
        p=float(test.pvalue),
        test=name,
        smallest_detectable=power.counted_detectable(n, alpha, POWER),
    )
    return dataclasses.replace(decided, verdict=verdict(decided, decided.p))


def verdict(comparison: Comparison, p: float) -> Verdict:
    """The verdict at the (adjusted) decisive p value."""
    if p >= comparison.alpha:
        return "inconclusive"
    if comparison.p_against is not None:
        return "supported" if comparison.p <= comparison.p_against else "contradicted"
    sign = -1.0 if comparison.direction == "less" else 1.0
    return "supported" if sign * comparison.mean > -(comparison.margin or 0.0) else "contradicted"


def holm(comparisons: Sequence[Comparison | None]) -> list[tuple[float, Verdict]]:
    """Holm-adjusted p and the verdict it gives, for all questions of one study together.

    A question that has no comparison (fewer than two pairs) is inconclusive with p = nan. It stays
    in the family, as if its p were 1: a trial that fails must not ease the other questions.
    """
    if not any(comparisons):
        return [(math.nan, "inconclusive") for _ in comparisons]
    from statsmodels.stats.multitest import multipletests

    raw = [1.0 if comparison is None else comparison.decisive_p for comparison in comparisons]
    adjusted = np.asarray(multipletests(raw, method="holm")[1])
    return [
        (math.nan, "inconclusive") if comparison is None else (float(p), verdict(comparison, p))
        for comparison, p in zip(comparisons, adjusted, strict=True)
    ]


def interval(values: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """The two-sided t interval of a mean; both ends are nan for fewer than two values."""
    sample = np.asarray(values, np.float64)
    if len(sample) < 2:
        return math.nan, math.nan
    return _interval(float(sample.mean()), float(sample.std(ddof=1)), len(sample), alpha)


@functools.cache
def critical(n: int, alpha: float) -> float:
    """The |t| of n pairs at which a two-sided test at alpha rejects."""
    from scipy import stats as scipy_stats

    return float(scipy_stats.t.isf(alpha / 2, n - 1))


def _check(direction: str, margin: float | None, alpha: float) -> None:
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if direction == "equivalent" and margin is None:
        raise ValueError("direction 'equivalent' needs a margin that was fixed in advance")
    lowest = math.ulp(0.0) if direction == "equivalent" else 0.0
    if margin is not None and not lowest <= margin < math.inf:
        raise ValueError(f"the margin must be a positive number, got {margin!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}")


def _differences(treatment: npt.ArrayLike, baseline: npt.ArrayLike) -> np.ndarray:
    first, second = np.asarray(treatment, np.float64), np.asarray(baseline, np.float64)
    if first.ndim != 1 or second.ndim != 1 or len(first) != len(second):
        raise ValueError(
            f"pairs need two lists of equal length, got shapes {first.shape} and {second.shape}"
        )
    if len(first) < 2:
        raise ValueError(f"a paired comparison needs at least two pairs, got {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is NaN or infinite; leave failed seeds out of both arms")
    return first - second


def _interval(mean: float, sd: float, n: int, alpha: float) -> tuple[float, float]:
    half = critical(n, alpha) * sd / math.sqrt(n)
    return mean - half, mean + half


def _two_sided(mean: float, sd: float, n: int, null: float) -> float:
    """p of the paired t test against `null`, with its limit where the differences do not vary."""
    from scipy import stats as scipy_stats

    if sd == 0:
        if mean == null:
            return 1.0
        return _all_alike(n)
    return float(2 * scipy_stats.t.sf(abs(mean - null) / (sd / math.sqrt(n)), n - 1))


def _all_alike(n: int) -> float:
    """p where all differences are one number: the limit of t, but for two.

    Two equal differences are often a coincidence of rounded accuracies, three hardly ever.
    """
    return 0.5 if n == 2 else 0.0


def _one_null(partial: Comparison) -> Comparison:
    sign = -1.0 if partial.direction == "less" else 1.0
    null = -sign * (partial.margin or 0.0)
    test = "paired t, two-sided" if not partial.margin else "paired t against the margin, two-sided"
    p = _two_sided(partial.mean, partial.sd, partial.n, null)
    return dataclasses.replace(partial, p=p, test=test)


def _equivalence(partial: Comparison, difference: np.ndarray) -> Comparison:
    margin = partial.margin
    assert margin is not None
    inside = abs(partial.mean) < margin
    if partial.sd == 0:
        p = _all_alike(partial.n) if inside else 1.0
    else:
        from statsmodels.stats.weightstats import ttost_paired

        p = float(ttost_paired(difference, np.zeros_like(difference), -margin, margin)[0])
    nearest = math.copysign(margin, partial.mean)
    against = 1.0 if inside else _two_sided(partial.mean, partial.sd, partial.n, nearest)
    return dataclasses.replace(partial, p=p, p_against=against, test="paired TOST")


def _sign_flip(difference: np.ndarray) -> float:
    if not difference.any():
        return 1.0
    if len(difference) <= _EXACT_PAIRS:
        # written out: scipy's enumeration of the flips takes 50 times as long
        flips = 1 - 2 * (np.arange(2 ** len(difference))[:, None] >> np.arange(len(difference)) & 1)
        sums = np.abs(flips @ difference)
        return float(np.mean(sums >= sums[0] - 1e-12 * np.abs(difference).sum()))
    from scipy import stats as scipy_stats

    result = scipy_stats.permutation_test(
        (difference,),
        lambda values, axis: np.mean(values, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)

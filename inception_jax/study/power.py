"""Power of the tests that decide a verdict, and the seeds that reach it, before anything runs.

Effects and margins are in standard deviations of the paired differences, and the differences are
taken to be normal. Powers are exact under that assumption: the noncentral t distribution (through
statsmodels), and for equivalence an integral over the spread that a study happens to see.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

MOST_SEEDS = 100_000  # beyond it a question counts as out of reach


def t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Probability that the two-sided paired t test is significant on the side of the effect.

    That is a one-sided test at alpha / 2; the verdict needs the right side, so the other tail of
    the two-sided test does not count.

    Args:
        effect: true difference from the null value, in sd of the differences; not negative.
        n: pairs, at least 2.
        alpha: two-sided level.
    """
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().power(effect, n, alpha / 2, alternative="larger"))


def tost_power(margin: float, n: int, alpha: float = 0.05, difference: float = 0.0) -> float:
    """Probability that two one-sided paired t tests, each at alpha, show equivalence.

    Args:
        margin: of equivalence, in sd of the differences.
        n: pairs, at least 2.
        alpha: level of each of the two tests.
        difference: true difference, in the same unit.
    """
    root = math.sqrt(n)
    return tost_power_of(margin * root, n - 1, alpha, difference * root)


def tost_power_of(margin: float, df: int, alpha: float, difference: float = 0.0) -> float:
    """As `tost_power`, with margin and difference in standard errors, for any design.

    Given the estimate s of the standard error, the mean has to lie within margin - t s of 0 (a
    normal probability); s is then integrated out (Phillips 1990, J. Pharmacokinet. Biopharm. 18).

    Args:
        margin: of equivalence, in true standard errors.
        df: degrees of freedom of the standard error.
        alpha: level of each of the two tests.
        difference: true difference, in the same unit.
    """
    from scipy import integrate
    from scipy import stats as scipy_stats

    critical = float(scipy_stats.t.ppf(1 - alpha, df))

    def density(s: float) -> float:
        room = margin - critical * s
        inside = scipy_stats.norm.cdf(room - difference) - scipy_stats.norm.cdf(-room - difference)
        return float(inside * scipy_stats.chi.pdf(s * math.sqrt(df), df) * math.sqrt(df))

    # s is near 1; beyond `widest` it has no probability that counts, beyond `room = 0` no chance
    widest = float(scipy_stats.chi.isf(1e-12, df)) / math.sqrt(df)
    return float(integrate.quad(density, 0.0, min(widest, margin / critical), limit=200)[0])


def counted_power(difference: float, n: int, alpha: float = 0.05) -> float:
    """Probability that McNemar's exact test finds a difference between two shares of n pairs.

    Reckoned for the easiest case, in which no pair goes against the difference: where some do,
    more pairs are needed.

    Args:
        difference: of the shares, above 0 and at most 1.
        n: pairs.
        alpha: two-sided level.
    """
    from scipy import stats as scipy_stats

    fewest = math.floor(math.log2(2 / alpha)) + 1  # pairs on one side with p = 2 / 2**k < alpha
    return float(scipy_stats.binom.sf(fewest - 1, n, min(difference, 1.0)))


@functools.cache
def counted_detectable(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The difference of two shares that `counted_power` reaches with n pairs; nan without any."""
    from scipy import optimize

    if counted_power(1.0, n, alpha) < power:
        return math.nan
    found = optimize.brentq(lambda share: counted_power(share, n, alpha) - power, 1e-9, 1.0)
    return float(found)  # pyright: ignore[reportArgumentType]


def seeds_needed(power_of: Callable[[int], float], power: float) -> int | None:
    """The fewest pairs n with power_of(n) >= power; None where `MOST_SEEDS` are not enough.

    Args:
        power_of: power with n pairs, growing with n.
        power: wanted.
    """
    low, high = 1, 2
    while power_of(high) < power:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


@functools.cache
def detectable(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The effect, in sd of the differences, that n pairs find with this power (paired t)."""
    return _root(lambda effect: t_power(effect, n, alpha) - power, n, alpha)


@functools.cache
def equivalence_margin(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest margin, in sd, within which n pairs show equal arms equal with this power."""
    return _root(lambda margin: tost_power(margin, n, alpha) - power, n, alpha)


def _root(of: Callable[[float], float], n: int, alpha: float) -> float:
    from scipy import optimize
    from scipy import stats as scipy_stats

    # ten standard errors beyond the critical value, at the largest spread that is to be expected
    critical = float(scipy_stats.t.ppf(1 - alpha / 2, n - 1))
    highest = (10 + 4 * critical) / math.sqrt(n)
    return float(optimize.brentq(of, 1e-6, highest))  # pyright: ignore[reportArgumentType]

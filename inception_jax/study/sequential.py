"""Boundaries of paired t tests that are looked at more than once, exact for normal differences.

The error that may be spent by each look is fixed by a spending function (Lan and DeMets 1983,
Biometrika 70), and the level of each look follows from the joint distribution of the t statistics
(not of their normal limits: with four pairs the two are far apart). Under the null hypothesis the
direction of the vector of differences is uniform on the sphere, so that t at one look, given t at
the next, depends on nothing else: the looks form a Markov chain, run here over two-sided p values,
which are uniform at every look (after Jennison and Turnbull 1991, Biometrika 78).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST_PAIRS = 4  # of a look: three rounded accuracies may differ alike by chance
_SMALLEST = 1e-6  # sequential p values below it are printed as it
_NODES = 32

# Edges of the cells in which p is held: fine where levels lie, coarse where nothing happens.
_EDGES = np.concatenate([[0.0], np.geomspace(1e-9, 1e-4, 40)[:-1], np.geomspace(1e-4, 1.0, 181)])
_CENTRES = np.concatenate([[_EDGES[1] / 2], np.sqrt(_EDGES[1:-1] * _EDGES[2:])])


def _obrien_fleming(alpha: float, share: float) -> float:
    from scipy import stats

    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(share)))


def _pocock(alpha: float, share: float) -> float:
    return alpha * math.log1p((math.e - 1) * share)


# name -> error of both sides together that a share of the pairs may have spent
SPENDING: dict[str, Callable[[float, float], float]] = {
    "obrien_fleming": _obrien_fleming,
    "pocock": _pocock,
}


@dataclass(frozen=True)
class Looks:
    """Looks of one question: at how many pairs, and what share of the error each may have spent.

    Attributes:
        pairs: pairs at each look, rising; at least `FEWEST_PAIRS`.
        shares: of the planned pairs, rising; 1 is the last look.
        spending: a name of `SPENDING`.
    """

    pairs: tuple[int, ...]
    shares: tuple[float, ...]
    spending: str = "obrien_fleming"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in itertools.pairwise(self.pairs))
        growing = all(a < b for a, b in itertools.pairwise(self.shares))
        if not self.pairs or len(self.pairs) != len(self.shares) or not rising or not growing:
            raise ValueError(f"looks must rise, got pairs {self.pairs} and shares {self.shares}")
        if self.pairs[0] < FEWEST_PAIRS or not 0 < self.shares[0] <= self.shares[-1] <= 1:
            raise ValueError(f"no look at {self.pairs[0]} pairs, or with shares {self.shares}")
        if self.spending not in SPENDING:
            raise ValueError(f"spending {self.spending!r} is none of {', '.join(SPENDING)}")

    def levels(self, alpha: float = 0.05) -> list[float]:
        """The level of each look: a two-sided p at or below it decides.

        Args:
            alpha: two-sided error of all looks together.
        """
        spend = SPENDING[self.spending]
        totals = [0.0, *(spend(alpha, share) for share in self.shares)]
        quota = [after - before for before, after in itertools.pairwise(totals)]
        chain = _Chain(self.pairs)
        return [chain.step(at_most=most)[0] for most in quota]

    def sequential_p(self, p: npt.ArrayLike) -> np.ndarray:
        """The smallest alpha at which the looks so far would have decided (Liu, Anderson 2008).

        It may be compared with any level and adjusted for the number of questions, as the p of a
        test that looked once.

        Args:
            p: f[..., looks], two-sided p values of the first looks; any number of them.

        Returns:
            f[..., looks]: after each look; 1 where no alpha would have.
        """
        values = np.asarray(p, np.float64)
        alphas, table = _table(self)
        found = np.ones_like(values)
        for look in range(values.shape[-1]):
            at = np.maximum(values[..., look], 1e-300)
            logs = np.interp(np.log(at), np.log(table[:, look]), np.log(alphas))
            found[..., look] = np.where(at > table[-1, look], 1.0, np.exp(logs))
        return np.minimum.accumulate(found, axis=-1)


@functools.lru_cache(maxsize=64)
def _table(looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """Alphas, and the level of each look at each of them."""
    alphas = np.geomspace(_SMALLEST, 1.0, 121)
    levels = np.array([looks.levels(float(alpha)) for alpha in alphas])
    return alphas, np.maximum.accumulate(np.maximum(levels, 1e-300), axis=0)


def crossing(pairs: Sequence[int], levels: Sequence[float]) -> list[float]:
    """The probability, under no difference, that each look is the first whose p is at its level.

    Args:
        pairs: at each look.
        levels: two-sided, of each look.
    """
    chain = _Chain(tuple(pairs))
    return [chain.step(level=level)[1] for level in levels]


class _Chain:
    """The probability of having decided nothing so far, given p of the look that comes now."""

    def __init__(self, pairs: tuple[int, ...]) -> None:
        self._pairs = pairs
        self._look = 0
        self._open = np.ones(len(_CENTRES))

    def step(self, level: float = 0.0, at_most: float | None = None) -> tuple[float, float]:
        """Takes one look; with `at_most`, at the level that spends this much.

        Returns:
            The level, and the probability that this look decides and none did before.
        """
        spent = np.concatenate([[0.0], np.cumsum(self._open * np.diff(_EDGES))])
        if at_most is not None:
            level = float(np.interp(at_most, spent, _EDGES))
        decided = float(np.interp(level, _EDGES, spent))
        self._look += 1
        if self._look < len(self._pairs):
            above = _above(self._pairs[self._look - 1], self._pairs[self._look])
            cells = -np.diff(above, axis=1)  # probability of each cell at this look, by next p
            kept = np.clip((_EDGES[1:] - level) / np.diff(_EDGES), 0.0, 1.0)
            self._open = cells @ (kept * self._open)
        return level, decided


@functools.lru_cache(maxsize=64)
def _above(before: int, after: int) -> np.ndarray:
    """f[cells, edges]: probability that p at `before` pairs exceeds an edge, given p at `after`.

    The direction of the `after` differences, given their t, is t's part along (1, ..., 1) plus a
    uniform direction v across it. Of v, only x, its component along the contrast between the first
    `before` and the rest, and y, the share of the remainder that lies within the first, decide t at
    `before`; |t| <= c is an interval of x, and y is integrated out.
    """
    from scipy import special, stats

    rest = after - before
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    inside = special.betaincinv((before - 1) / 2, (rest - 1) / 2, (nodes + 1) / 2)
    shares, weights = (inside, weights / 2) if rest > 1 else (np.ones(1), np.ones(1))
    slope = stats.t.isf(_CENTRES / 2, after - 1) / math.sqrt(after - 1)
    a = slope[:, None, None] * math.sqrt(before / after)
    b = math.sqrt(rest / after)
    critical = stats.t.isf(_EDGES[1:] / 2, before - 1)
    g = critical[None, :, None] ** 2 * shares[None, None, :] / (before - 1)
    # (a + b x)^2 <= g (1 - x^2)
    square = g * (b * b + g - a * a)
    root = np.sqrt(np.maximum(square, 0.0))
    low, high = (-a * b - root) / (b * b + g), (-a * b + root) / (b * b + g)
    within = _component(high, after - 2) - _component(low, after - 2)
    chance = np.where(square > 0, within, 0.0) @ weights
    # p above an edge is |t| below its critical value
    return np.concatenate([np.ones((len(_CENTRES), 1)), chance], axis=1)


def _component(x: np.ndarray, df: int) -> np.ndarray:
    """Distribution of one component of a uniform direction in df + 1 dimensions."""
    from scipy import special

    inside = np.clip(x, -1 + 1e-15, 1 - 1e-15)
    return special.stdtr(df, inside * np.sqrt(df / (1 - inside * inside)))

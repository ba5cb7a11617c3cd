"""Boundaries of repeated looks, against published tables and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from inception_jax.study import sequential
from inception_jax.study.sequential import Looks

LARGE = 4000  # pairs a look: t is then the normal of the published tables to three decimals


def equal(looks: int, spending: str = "obrien_fleming", each: int = LARGE) -> Looks:
    pairs = tuple(each * (k + 1) for k in range(looks))
    return Looks(pairs, tuple((k + 1) / looks for k in range(looks)), spending)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Lan-DeMets boundaries, two-sided 5 %, five equal looks, as their programs print them
        # (ldbounds 2.0, R; Reboussin, DeMets, Kim and Lan 2000, Controlled Clinical Trials 21)
        ("obrien_fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_the_boundaries_of_lan_and_demets(spending, published):
    found = stats.norm.isf(np.array(equal(5, spending).levels(0.05)) / 2)
    np.testing.assert_allclose(found, published, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    # Jennison and Turnbull 2000, Group Sequential Methods, Tables 2.1 and 2.3, two-sided 5 %
    [(2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040)],
)
def test_the_constants_of_pocock_and_of_obrien_and_fleming_spend_5_percent(
    looks, pocock, obrien_fleming
):
    pairs = equal(looks).pairs
    level = 2 * stats.norm.sf(pocock)
    assert sum(sequential.crossing(pairs, [level] * looks)) == pytest.approx(0.05, abs=2e-4)
    root = np.sqrt(looks / np.arange(1, looks + 1))
    levels = 2 * stats.norm.sf(obrien_fleming * root)
    assert sum(sequential.crossing(pairs, list(levels))) == pytest.approx(0.05, abs=2e-4)


def p_values(differences: np.ndarray, pairs: tuple[int, ...]) -> np.ndarray:
    """f[studies, looks]: two-sided p of the paired t test at each look, by scipy."""
    found = [stats.ttest_1samp(differences[:, :n], 0.0, axis=1)[1] for n in pairs]
    return np.stack([np.asarray(p) for p in found], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("pairs", [(4, 6, 8), (4, 5, 10)])
def test_few_pairs_spend_what_was_planned_at_each_look(pairs, spending):
    looks = Looks(pairs, tuple(n / pairs[-1] for n in pairs), spending)
    levels = looks.levels(0.05)
    spend = [sequential.SPENDING[spending](0.05, share) for share in looks.shares]
    np.testing.assert_allclose(np.cumsum(sequential.crossing(pairs, levels)), spend, atol=1e-6)
    draws = 100_000
    p = p_values(np.random.default_rng(1).standard_normal((draws, pairs[-1])), pairs)
    crossed = np.logical_or.accumulate(p <= np.array(levels), axis=1).sum(axis=0)
    for count, wanted in zip(crossed, spend, strict=True):
        assert stats.binomtest(int(count), draws, wanted).pvalue > 1e-3


@pytest.mark.slow
def test_levels_of_the_normal_would_spend_too_much_with_few_pairs():
    pairs = (4, 6, 8)
    few, many = (Looks(n, (0.5, 0.75, 1.0), "pocock") for n in (pairs, (2000, 3000, 4000)))
    assert sum(sequential.crossing(pairs, many.levels(0.05))) > 0.051
    assert sum(sequential.crossing(pairs, few.levels(0.05))) == pytest.approx(0.05, abs=1e-6)


def test_one_look_is_the_plain_test():
    looks = Looks((8,), (1.0,))
    assert looks.levels(0.05) == [pytest.approx(0.05, rel=1e-3)]
    assert looks.sequential_p([0.03])[0] == pytest.approx(0.03, rel=1e-3)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("alpha", [0.01, 0.05 / 3, 0.05])
def test_a_sequential_p_below_alpha_is_a_level_that_was_reached(spending, alpha):
    looks = Looks((4, 6, 8), (0.5, 0.75, 1.0), spending)
    p = np.random.default_rng(2).uniform(size=(2000, 3)) ** 3
    reached = np.logical_or.accumulate(p <= np.array(looks.levels(alpha)), axis=1)
    found = looks.sequential_p(p)
    near = np.abs(found / alpha - 1) < 0.01
    assert ((found <= alpha) == reached)[~near].all()
    assert near.mean() < 0.05
    np.testing.assert_array_equal(looks.sequential_p(p[:, :2]), found[:, :2])


def test_levels_rise_with_alpha_so_that_holm_may_use_them():
    for spending in ("obrien_fleming", "pocock"):
        looks = Looks((4, 6, 8, 10, 12), (0.3, 0.5, 0.7, 0.9, 1.0), spending)
        levels = np.array([looks.levels(alpha) for alpha in (0.001, 0.01, 0.05 / 3, 0.025, 0.05)])
        assert (np.diff(levels, axis=0) > 0).all()


@pytest.mark.parametrize(
    ("pairs", "shares", "spending"),
    [
        ((), (), "pocock"),
        ((3, 8), (0.5, 1.0), "pocock"),
        ((8, 8), (0.5, 1.0), "pocock"),
        ((4, 8), (0.5, 1.5), "pocock"),
        ((4, 8), (0.5,), "pocock"),
        ((4, 8), (0.5, 1.0), "bonferroni"),
    ],
)
def test_looks_that_make_no_sense_are_refused(pairs, shares, spending):
    with pytest.raises(ValueError, match=r"looks must rise|no look at|is none of"):
        Looks(pairs, shares, spending)

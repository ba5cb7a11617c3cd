"""Power and seeds against published figures and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from inception_jax import study
from inception_jax.study import power


def test_power_of_the_manuals_matched_pairs():
    # G*Power 3.1 manual, "Difference between two dependent means": Cohen's 50 IQ-matched pairs,
    # dz = 0.421637, two-sided 5 %: power 0.832114
    assert power.t_power(0.421637, 50) == pytest.approx(0.832114, abs=1e-6)


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_for_cohens_small_medium_and_large_effect(effect, pairs):
    # the usual tables at 80 % and two-sided 5 %, as G*Power prints them
    assert power.seeds_needed(lambda n: power.t_power(effect, n), 0.8) == pairs


@pytest.mark.parametrize(("cv", "total", "published"), [(0.30, 40, 0.815845), (0.20, 20, 0.834680)])
def test_equivalence_power_of_published_crossover_designs(cv, total, published):
    # PowerTOST's sampleN.TOST(CV): two periods, log scale, limits 0.8 to 1.25, true ratio 0.95;
    # its standard error is sqrt(2 / N) within-subject sd, with N - 2 degrees of freedom
    error = math.sqrt(math.log(1 + cv**2) * 2 / total)
    found = power.tost_power_of(
        math.log(1.25) / error, total - 2, 0.05, abs(math.log(0.95)) / error
    )
    assert found == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("n", [3, 8])
def test_equivalence_power_is_what_compare_reaches(n):
    rng = np.random.default_rng(5)
    runs = 600
    margin = power.equivalence_margin(n)
    found = sum(
        study.compare(d, np.zeros(n), "equivalent", margin).verdict == "supported"
        for d in rng.normal(size=(runs, n))
    )
    low, high = scipy_stats.binom.interval(0.999, runs, 0.8)
    assert low <= found <= high


@pytest.mark.parametrize("n", [2, 3, 8, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_inverses_reach_the_power_they_were_asked_for(n, alpha):
    assert power.t_power(power.detectable(n, alpha), n, alpha) == pytest.approx(0.8)
    margin = power.equivalence_margin(n, alpha)
    assert power.tost_power(margin, n, alpha) == pytest.approx(0.8)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.99])
def test_seeds_needed_is_the_fewest(wanted):
    needed = power.seeds_needed(lambda n: power.t_power(0.7, n), wanted)
    assert needed is not None
    assert power.t_power(0.7, needed) >= wanted > power.t_power(0.7, needed - 1)


def test_an_effect_out_of_reach_has_no_number():
    assert power.seeds_needed(lambda n: power.t_power(1e-4, n), 0.8) is None


def test_no_effect_is_found_at_half_the_level_on_each_side():
    assert power.t_power(0.0, 8) == pytest.approx(0.025)
    # at the margin TOST errs at most at its level, far less where the spread is large
    assert power.tost_power(10.0, 8, 0.05, 10.0) == pytest.approx(0.05, abs=1e-6)
    assert power.tost_power(0.1, 8) < 0.01

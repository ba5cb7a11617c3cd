"""Verdicts against scipy, statsmodels and published worked examples, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from inception_jax import study
from inception_jax.study import power, stats

# Student (1908), "The probable error of a mean": extra hours of sleep under two drugs, ten
# patients; R's `sleep`, whose paired t.test prints t = -4.0621, df 9, p = 0.002833 and the interval
# -2.4598858 -0.7001142 for the first minus the second.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_counted_outcomes_are_decided_by_mcnemars_exact_test():
    from statsmodels.stats.contingency_tables import mcnemar

    free, clipped = [1, 1, 1, 1, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 1, 1, 0]
    found = stats.exact(stats.compare(clipped, free, "less"))
    assert found.p == pytest.approx(mcnemar([[0, 7], [1, 2]], exact=True).pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.verdict == "inconclusive"
    assert stats.exact(stats.compare([0] * 8, [1] * 8, "less")).verdict == "supported"
    assert stats.exact(stats.compare([1] * 8, [0] * 8, "less")).verdict == "contradicted"
    # of 8 pairs that differ one: Clopper and Pearson's limits of 1 of 8 are 0.32 and 52.65 %
    assert found.low == pytest.approx((2 * 0.0031597 - 1) * 8 / 10, abs=1e-6)
    assert found.high == pytest.approx((2 * 0.5265097 - 1) * 8 / 10, abs=1e-6)
    with pytest.raises(ValueError, match="leave out the margin"):
        stats.exact(stats.compare(clipped, free, "less", margin=0.1))


@pytest.mark.parametrize(
    "pairs", [(5, 0, 3), (6, 0, 2), (9, 1, 4), (12, 3, 0), (1, 0, 7), (2, 2, 4)]
)
def test_the_interval_of_counts_excludes_none_where_the_test_does(pairs):
    fewer, more, same = pairs
    treatment = [0] * fewer + [1] * more + [0] * same
    baseline = [1] * fewer + [0] * more + [0] * same
    found = stats.exact(stats.compare(treatment, baseline, "less"))
    assert (found.high < 0) == (found.p < 0.05)
    assert -1 <= found.low <= found.mean <= found.high <= 1


@pytest.mark.parametrize(("share", "n"), [(0.6, 8), (0.9, 9), (0.3, 40)])
def test_the_power_of_counts_is_that_of_the_test(share, n):
    """By enumeration: as many pairs differ, all one way, as a binomial number of n says."""
    from scipy.stats import binom, binomtest

    found = sum(
        binom.pmf(k, n, share) for k in range(1, n + 1) if binomtest(k, k).pvalue < 0.05 / 3
    )
    assert power.counted_power(share, n, 0.05 / 3) == pytest.approx(found)
    reached = power.counted_detectable(n, 0.05 / 3, 0.8)
    if reached == reached:
        assert power.counted_power(reached, n, 0.05 / 3) == pytest.approx(0.8, abs=1e-6)


def test_paired_t_matches_the_published_analysis_of_students_sleep_data():
    found = study.compare(DRUG_2, DRUG_1)
    assert found.mean == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert found.sd == pytest.approx(np.std(np.subtract(DRUG_2, DRUG_1), ddof=1))
    assert (found.n, found.verdict) == (10, "supported")


def test_interval_and_p_match_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 9))
    found = study.compare(a, b, alpha=0.1)
    expected = scipy_stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("n", [2, 5, 9])
def test_the_flips_are_those_of_scipy(n):
    values = np.random.default_rng(n).integers(-3, 4, n) / 360  # with ties, as accuracies have
    expected = scipy_stats.permutation_test(
        (values,),
        lambda sample, axis: np.mean(sample, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**n,
    ).pvalue
    assert study.compare(values, np.zeros(n)).p_sign_flip == pytest.approx(expected)


def test_sign_flip_is_exact():
    # Nine of ten differences are positive and one is 0: the observed sum is the extreme.
    assert study.compare(DRUG_2, DRUG_1).p_sign_flip == pytest.approx(4 / 1024)


def test_direction_turns_the_verdict_and_nothing_else():
    greater = study.compare(DRUG_2, DRUG_1, "greater")
    less = study.compare(DRUG_2, DRUG_1, "less")
    assert (greater.verdict, less.verdict) == ("supported", "contradicted")
    assert (greater.mean, greater.p, greater.low) == (less.mean, less.p, less.low)


@pytest.mark.parametrize(
    ("shift", "margin", "direction", "verdict"),
    [
        (0.000, 0.02, "greater", "supported"),  # the interval clears -margin
        (-0.05, 0.02, "greater", "contradicted"),  # the interval lies below -margin
        (-0.02, 0.02, "greater", "inconclusive"),  # it holds -margin
        (0.000, 0.02, "less", "supported"),
        (0.05, 0.02, "less", "contradicted"),
        (0.000, 0.02, "equivalent", "supported"),
        (0.05, 0.02, "equivalent", "contradicted"),
        (-0.05, 0.02, "equivalent", "contradicted"),
        (0.02, 0.02, "equivalent", "inconclusive"),
        (0.001, 0.001, "equivalent", "inconclusive"),
    ],
)
def test_margins(shift, margin, direction, verdict):
    noise = np.array([-0.01, -0.005, 0.0, 0.0, 0.005, 0.01])
    baseline = np.array([0.7, 0.72, 0.71, 0.73, 0.7, 0.72])
    assert study.compare(baseline + noise + shift, baseline, direction, margin).verdict == verdict


def test_tost_p_is_the_larger_of_the_two_one_sided_tests():
    first, second = np.asarray(DRUG_2), np.asarray(DRUG_1)
    found = study.compare(first, second, "equivalent", 3.0)
    lower = scipy_stats.ttest_rel(first + 3.0, second, alternative="greater").pvalue
    upper = scipy_stats.ttest_rel(first - 3.0, second, alternative="less").pvalue
    assert found.p == pytest.approx(max(lower, upper))
    assert found.verdict == "supported"


def test_equivalence_matches_the_published_analysis_of_students_sleep_data():
    # The introduction to R's TOSTER (Lakens; Caldwell), bounds of half an hour: paired t(9) =
    # -4.062, p = 0.003; against the lower bound -2.777, p = 0.989; upper -5.348, p < 0.001.
    found = study.compare(DRUG_1, DRUG_2, "equivalent", 0.5)
    assert found.p == pytest.approx(0.989, abs=5e-4)
    error = found.sd / math.sqrt(found.n)
    against = ((found.mean + 0.5) / error, (found.mean - 0.5) / error)
    assert against == pytest.approx((-2.777, -5.348), abs=5e-4)
    # outside of the bounds: two-sided against the nearer one
    assert found.p_against == pytest.approx(2 * (1 - 0.989), abs=1e-3)
    assert found.verdict == "contradicted"


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_smallest_detectable_effect_has_80_percent_power(n):
    rng = np.random.default_rng(0)
    sample = rng.normal(size=n)
    found = study.compare(sample, np.zeros(n))
    shift = math.sqrt(n) * found.smallest_detectable / found.sd
    critical = scipy_stats.t.ppf(0.975, n - 1)
    assert scipy_stats.nct.sf(critical, n - 1, shift) == pytest.approx(0.8, abs=1e-6)


def test_seeds_needed_as_published_tables_say():
    # A paired sd of 0.20 points finds 0.2 points with 10 seeds, not with 9.
    def detectable(n: int) -> float:
        values = np.tile([1.0, -1.0], n)[:n] + 0.0
        values *= 0.2 / values.std(ddof=1)
        return study.compare(values, np.zeros(n)).smallest_detectable

    assert detectable(10) <= 0.2 < detectable(9)


@pytest.mark.parametrize(
    ("a", "b", "options"),
    [
        ([0.5], [0.4], {}),
        ([], [], {}),
        ([0.5, 0.6], [0.4], {}),
        ([0.5, math.nan], [0.4, 0.5], {}),
        ([0.5, math.inf], [0.4, 0.5], {}),
        ([0.5, 0.6], [0.4, 0.5], {"direction": "equivalent"}),
        ([0.5, 0.6], [0.4, 0.5], {"direction": "equivalent", "margin": 0.0}),
        ([0.5, 0.6], [0.4, 0.5], {"margin": -0.1}),
        ([0.5, 0.6], [0.4, 0.5], {"margin": math.nan}),
        ([0.5, 0.6], [0.4, 0.5], {"direction": "better"}),
        ([0.5, 0.6], [0.4, 0.5], {"alpha": 0.0}),
        ([[0.5, 0.6]], [[0.4, 0.5]], {}),
    ],
)
def test_what_cannot_be_compared_is_a_value_error(a, b, options):
    with pytest.raises(ValueError, match=r"pair|NaN|margin|direction|alpha"):
        study.compare(a, b, **options)


@pytest.mark.parametrize("options", [{}, {"margin": 0.1}, {"direction": "equivalent", "margin": 1}])
def test_identical_arms_are_inconclusive(options):
    found = study.compare([0.7, 0.8, 0.9], [0.7, 0.8, 0.9], **options)
    assert (found.verdict, found.p, found.low, found.high) == ("inconclusive", 1.0, 0.0, 0.0)


def test_differences_without_spread():
    assert study.compare([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]).verdict == "supported"
    assert study.compare([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], "less").verdict == "contradicted"
    assert study.compare([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], "equivalent", 0.2).verdict == "supported"
    # Two equal differences may be a coincidence of rounding.
    assert study.compare([0.9, 0.8], [0.8, 0.7]).verdict == "inconclusive"


def test_holm_matches_a_worked_example():
    # p = 0.01, 0.04, 0.03, 0.005 adjust to 0.03, 0.06, 0.06, 0.02 (Holm 1979's procedure).
    base = study.compare(DRUG_2, DRUG_1)
    questions = [_with_p(base, p) for p in (0.01, 0.04, 0.03, 0.005)]
    rows = stats.holm(questions)
    assert [p for p, _ in rows] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    verdicts = [verdict for _, verdict in rows]
    assert verdicts == ["supported", "inconclusive", "inconclusive", "supported"]


def test_a_question_without_pairs_stays_in_the_family():
    base = study.compare(DRUG_2, DRUG_1)
    (first, verdict), (missing, _) = stats.holm([_with_p(base, 0.03), None])
    assert first == pytest.approx(0.06)
    assert verdict == "inconclusive"
    assert math.isnan(missing)


def _with_p(comparison, p):
    import dataclasses

    return dataclasses.replace(comparison, p=p)


def test_holm_of_nothing():
    assert stats.holm([]) == []
    assert stats.holm([None])[0][1] == "inconclusive"


def test_false_positives_stay_near_nominal_and_planted_effects_are_found():
    rng = np.random.default_rng(7)
    runs, n = 400, 8
    noise = rng.normal(0, 0.01, (runs, 2, n)) + rng.normal(0, 0.05, (runs, 1, n))
    null = [study.compare(a, b).verdict for a, b in noise]
    wrong = sum(verdict != "inconclusive" for verdict in null)
    # 99.9 % range of a binomial with p = 0.05
    low, high = scipy_stats.binom.interval(0.999, runs, 0.05)
    assert low <= wrong <= high
    # 3.27 / sqrt(8) standard deviations of the difference: planned power 0.8
    effect = 0.01 * math.sqrt(2) * power.detectable(n)
    found = sum(study.compare(a + effect, b).verdict == "supported" for a, b in noise)
    low, high = scipy_stats.binom.interval(0.999, runs, 0.8)
    assert low <= found <= high


def test_equivalence_errs_no_more_than_nominal_at_the_margin():
    rng = np.random.default_rng(3)
    runs = 400
    noise = rng.normal(0.02, 0.01, (runs, 8))
    verdicts = [study.compare(d, np.zeros(8), "equivalent", 0.02).verdict for d in noise]
    high = scipy_stats.binom.ppf(0.9995, runs, 0.05)
    assert verdicts.count("supported") <= high
    assert verdicts.count("contradicted") <= high

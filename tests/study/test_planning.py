"""Plans: seeds by published arithmetic, images and MACs by hand."""

from __future__ import annotations

import dataclasses

import pytest

from inception_jax import cost, errors, models, study
from inception_jax.study import devices, noise, planning, power

TARGET = planning.Target(effect=0.003, power=0.8, alpha=0.05)


def plan(described, sd=0.006, target=TARGET):
    earlier = noise.Earlier((noise.Noise(sd, 0, "assumed"),) * len(described.questions), "nothing")
    return planning.make(described, target, earlier)


@pytest.fixture(scope="module")
def factorization():
    return plan(study.load("factorization"))


def test_seeds_are_those_of_the_published_table(factorization):
    row = factorization.questions[0]
    assert row.alone == 34  # half an sd at 80 %: Cohen's medium effect
    assert row.seeds == power.seeds_needed(lambda n: power.t_power(0.5, n, 0.05 / 4), 0.8)
    assert row.cautious == row.seeds
    assert row.detectable == pytest.approx(0.006 * power.detectable(6, 0.05 / 4))
    assert factorization.seeds == max(r.seeds for r in factorization.questions)


def test_a_margin_is_what_has_to_be_cleared(factorization):
    row = factorization.questions[1]
    assert row.question.margin == 0.005
    assert row.alone == power.seeds_needed(lambda n: power.t_power(0.005 / 0.006, n), 0.8)
    assert row.finds == "no worse than −0.50"


def test_equivalence_is_planned_by_tost():
    described = study.load("factorization")
    question = dataclasses.replace(described.questions[0], direction="equivalent", margin=0.01)
    row = plan(dataclasses.replace(described, questions=(question,))).questions[0]
    assert row.alone == power.seeds_needed(lambda n: power.tost_power(0.01 / 0.006, n), 0.8)
    assert row.alone == row.seeds  # the only question
    assert row.finds == "equal within ±1.00"


def test_images_and_macs_at_default_scale_by_hand(factorization):
    # 4,000 digits in batches of 64 for 1.5 epochs: 93 steps an arm; scored on 1,000 twice
    work = factorization.work
    assert (work.trials, work.trained, work.evaluated) == (6, 6 * 93 * 64, 6 * 2 * 1000)
    macs = [
        cost.count(models.from_config(factorization.study.config(arm, 0).model, 10), 28, 1).macs
        for arm in factorization.study.arms
    ]
    assert work.macs == sum(macs) * (3 * 93 * 64 + 2000)
    assert not factorization.uncounted


def test_imagenet_needs_no_copy_of_it():
    described = study.load("resolution", "paper")
    one = dataclasses.replace(described, arms=described.arms[-1:], questions=(), costs=())
    work, uncounted = planning.work_of(one)
    # 100 epochs of 800 whole batches of 1,600; raw and averaged parameters on 50,000, 100 times
    assert (work.trained, work.evaluated) == (100 * 800 * 1600, 100 * 2 * 50_000)
    assert not uncounted


def test_arms_that_train_nothing_cost_their_evaluation():
    described = study.load("crops")
    only = dataclasses.replace(described, arms=described.arms[:1], questions=())
    alone, _ = planning.work_of(only)
    work, uncounted = planning.work_of(described)
    assert not uncounted
    assert (work.trials, work.trained) == (3, alone.trained)
    tests = 16 * 128
    assert work.evaluated - alone.evaluated == tests * (12 + 144)
    # once, after the last epoch, on both splits
    assert alone.evaluated == tests + 16 * 8
    forward = (work.macs - alone.macs) / (tests * (12 + 144))
    assert alone.macs == forward * (3 * alone.trained + alone.evaluated)


def test_a_search_is_counted_once_beside_the_seeds():
    found = plan(study.load("optimizer"))
    assert found.search is not None
    # two arms, five rates, two seeds: as many images a trial as the study's own
    assert found.search.trials == 2 * 5 * 2
    assert found.search.macs == 10 * found.work.macs
    assert plan(study.load("smoothing")).search is None


def test_an_ensemble_costs_all_its_members():
    described = study.load("ensemble")
    trained = dataclasses.replace(described, arms=described.arms[:4], questions=())
    alone, work = (planning.work_of(found)[0] for found in (trained, described))
    forward = alone.macs / (3 * alone.trained + alone.evaluated)
    assert work.macs - alone.macs == forward * 16 * 128 * (2 + 4)


def test_an_effect_out_of_reach_has_no_budget():
    found = plan(study.load("factorization"), target=planning.Target(1e-7, 0.8, 0.05))
    assert found.questions[0].seeds is None
    assert found.seeds is None


def test_a_study_that_counts_has_no_plan():
    with pytest.raises(errors.UserError, match="only counts costs"):
        plan(study.load("cost_claims"))


def test_one_seed_finds_nothing():
    assert plan(study.load("factorization").with_seeds(1)).questions[0].detectable == float("inf")


def test_device_hours():
    # 142 images/s of Inception-v3 on a P100: the published figure comes back
    found = devices.find("p100")
    assert 1 / (found.hours(6 * 5.713e9) * 3600) == pytest.approx(142, rel=0.02)
    half_k80 = devices.find("kepler")
    assert 1 / (half_k80.hours(6 * 5.713e9) * 3600) == pytest.approx(30.5, rel=0.02)


def test_this_machine_is_measured():
    assert devices.find("here").peak > 1e9
    with pytest.raises(errors.UsageError, match="did you mean 'a100'"):
        devices.find("a10")

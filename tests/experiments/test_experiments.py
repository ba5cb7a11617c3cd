"""Every study builds its configs, and its cost claims are what arithmetic says."""

from __future__ import annotations

from fractions import Fraction

import pytest

from inception_jax import config as config_lib
from inception_jax import study
from inception_jax.study import costs, definition, store

DATA = {
    "factorization": ["mnist5k", "photos", "digits", "elpv", "controls", "cifar10", "imagenette"],
    "resolution": ["photos", "mnist5k", "digits", "elpv"],
}


@pytest.mark.parametrize("scale", ["smoke", "default"])
@pytest.mark.parametrize(("name", "data"), [(n, d) for n, ds in DATA.items() for d in ds])
def test_every_arm_has_a_config_of_its_own(name, data, scale):
    described = study.load(name, scale, data)
    configs = store.arm_configs(described)
    assert all(config["data"]["name"] == data for config in configs.values())
    texts = {
        str(sorted(config_lib.keys(described.config(arm, 0)).items())) for arm in described.arms
    }
    assert len(texts) == len(described.arms)
    assert definition.from_dict(definition.to_dict(described)) == described


@pytest.mark.parametrize("name", study.names())
def test_seeds_are_enough_and_the_study_says_what_it_must(name):
    described = study.load(name)
    if not described.arms:
        return  # it only counts
    assert described.seeds >= 6
    assert len(described.arms) >= 5
    assert described.fairness
    assert described.differs
    assert all(question.source for question in described.questions)


def test_the_claims_of_the_list_are_there():
    claims = {
        name: {q.claim for q in study.load(name).questions}
        | {c.claim for c in study.load(name).costs}
        for name in DATA
    }
    assert claims["factorization"] == {"A1", "A2", "A6", "K1", "K2", "K3", "K4", "K5"}
    assert claims["resolution"] == {"A15", "A16", "K11"}


def test_cost_claims_are_the_fractions_of_the_list():
    rows = {claim.claim: costs.decide(claim, {}) for claim in study.load("factorization").costs}
    assert all(row.verdict == "supported" for row in rows.values())
    assert rows["K1"].ours == pytest.approx([Fraction(25, 9)])
    assert rows["K2"].ours == pytest.approx([1 - Fraction(18, 25)])
    assert rows["K3"].ours == pytest.approx([1 - Fraction(6, 9)])
    assert rows["K4"].ours == pytest.approx([1 - Fraction(8, 9)])
    assert rows["K5"].ours == pytest.approx([1 - Fraction(2, n) for n in (3, 5, 7)])


def test_a_spread_is_held_against_its_limit():
    (claim,) = study.load("resolution").costs
    assert costs.decide(claim, {}).verdict == "inconclusive"
    equal = {"large": 5713, "medium": 5713, "small": 5362}
    assert costs.decide(claim, equal).verdict == "supported"
    assert costs.decide(claim, equal).ours == pytest.approx([0.0614], abs=1e-4)
    assert costs.decide(claim, {**equal, "small": 1400}).verdict == "contradicted"

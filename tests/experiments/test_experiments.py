"""Every study builds its configs, and its cost claims are what arithmetic says."""

from __future__ import annotations

import os
from fractions import Fraction

import pytest

from inception_jax import config as config_lib
from inception_jax import models, study
from inception_jax.cli import main
from inception_jax.evaluate.run import Protocol
from inception_jax.models import geometry, plan
from inception_jax.study import costs, definition, serialization, store, tables

DATA = {
    "crops": ["photos", "digits"],
    "factorization": ["mnist5k", "photos", "digits", "elpv", "controls", "cifar10", "imagenette"],
    "resolution": ["photos", "mnist5k", "digits", "elpv"],
    **{
        name: ["mnist5k", "photos", "digits"]
        for name in (
            "asymmetric",
            "auxiliary",
            "averaging",
            "clipping",
            "ensemble",
            "expanded",
            "ladder",
            "optimizer",
            "reduction",
            "smoothing",
            "stem",
            "training_time",
        )
    },
}
# The accuracy claims of the list, and the study that asks each of them.
CLAIMS = {
    "factorization": {"A1", "A2", "A6"},
    "resolution": {"A15", "A16"},
    "asymmetric": {"A3", "A4", "A5", "A6"},
    "auxiliary": {"A7", "A8", "A9"},
    "reduction": {"A10"},
    "stem": {"A11"},
    "smoothing": {"A12"},
    "expanded": {"A14"},
    "optimizer": {"A13"},
    "training_time": {"A17"},
    "clipping": {"A22"},
    "ladder": {"A18"},
    "crops": {"A19"},
    "ensemble": {"A20"},
    "averaging": {"A21"},
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
    assert serialization.from_dict(serialization.to_dict(described)) == described


@pytest.mark.parametrize("scale", definition.SCALES)
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_every_arm_can_be_built_and_is_a_network_or_a_recipe_of_its_own(name, scale):
    described = study.load(name, scale)
    configs = [described.config(arm, 0) for arm in described.arms]
    for config in configs:
        models.from_config(config.model, num_classes=10)
    assert len({config_lib.to_json(config) for config in configs}) == len(configs)


# One that trains and evaluates what it trained; all of them take a quarter of an hour.
KINDS = ("averaging",)
EVERY = os.environ.get("INCEPTION_JAX_TEST_EVERY_STUDY") == "1"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLAIMS) if EVERY else KINDS)
def test_a_study_runs_at_the_smoke_scale(name, tmp_path):
    words = ["study", name, "--scale", "smoke", "--seeds", "1", "--workdir", str(tmp_path)]
    assert main(words) == 0
    summary = tables.summarise(tmp_path)
    assert summary.done == len(summary.trials) == len(study.load(name, "smoke").arms)


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_the_papers_scale_is_complete(name):
    """Whatever trains resolves on ImageNet and has a grid left behind every layer."""
    described = study.load(name, "paper")
    assert (described.data, described.seeds) == ("imagenet2012", 4)
    for arm in described.arms:
        config = described.config(arm, 0)
        if arm.members:
            Protocol(config.eval.crops, config.eval.weights)
            assert config.eval.weights == "raw" or config.optim.ema_decay
            continue
        derived = config_lib.resolve(config, 1_281_167).derived
        assert derived.steps == round(config.train.epochs * derived.steps_per_epoch)
        assert config.train.epochs == 100 or name == "clipping"
        model = models.from_config(config.model, 1000)
        nodes = plan.build(model.network, model.options, 3)
        assert geometry.sizes(nodes, (config.data.image_size,) * 2), arm.name


@pytest.mark.parametrize("name", study.names())
def test_seeds_are_enough_and_the_study_says_what_it_must(name):
    described = study.load(name)
    if not described.arms:
        return  # it only counts
    assert described.seeds >= 6
    assert len(described.arms) >= 2
    assert described.fairness
    assert described.differs
    assert all(question.source for question in described.questions)
    opening = config_lib.load_module(config_lib.folder("experiments") / f"{name}.py").__doc__
    smoke, paper = (study.load(name, scale).seeds for scale in ("smoke", "paper"))
    counts = f"Seeds: {described.seeds}; {smoke} at the smoke scale, {paper} at the paper's."
    assert counts in opening
    assert "Fair, because" in opening
    assert "Not fair" in " ".join(opening.split())
    assert {question.direction for question in described.questions} <= set(definition.DIRECTIONS)


def test_the_claims_of_the_list_are_there():
    asked = {name: {q.claim for q in study.load(name).questions} for name in study.names()}
    assert {name: claims for name, claims in asked.items() if claims} == CLAIMS
    counted = {name: {c.claim for c in study.load(name).costs} for name in CLAIMS}
    assert counted["factorization"] == {"K1", "K2", "K3", "K4", "K5"}
    assert counted["resolution"] == {"K11"}


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

"""What can be chosen about a network: types, ranges, and what a choice changes."""

from __future__ import annotations

import pytest

from inception_jax import cost, errors, models


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"width": "x"}, r"'width' expects float, got 'x'"),
        ({"width": -1}, r"'width' must be between"),
        ({"stem_stride": -1}, r"'stem_stride' must be between"),
        ({"stem_stride": 1.5}, r"'stem_stride' expects int"),
        ({"bn_scale": 1}, r"'bn_scale' expects bool"),
        ({"num_classes": 0}, r"num_classes must be at least 1"),
        ({"factorization": "stacked_3x3"}, r"is a group of stem, grid35"),
        ({"factorization": {"grid35": {"min_kernel": "a"}}}, r"'grid35.min_kernel' expects int"),
        ({"factorization": {"grid53": "direct"}}, r"did you mean 'factorization.grid35'"),
        ({"aux": {"dropout": "x"}}, r"'aux.dropout' expects float"),
        ({"aux": 3}, r"is a group of sites"),
        ({"ops": "fast"}, r"unknown ops 'fast'"),
    ],
)
def test_a_wrong_option_is_one_line(overrides, message):
    with pytest.raises(errors.UsageError, match=message):
        models.create("inception_v3", **overrides)


@pytest.mark.parametrize("choice", [{"activation": "linear"}, {"mid_filters": "geometric"}])
def test_a_choice_without_a_strategy_is_of_the_network_s_own_factorization(choice):
    own = models.create("inception_v3")
    chosen = models.create("inception_v3", factorization={"grid17": choice})
    named = models.create(
        "inception_v3", factorization={"grid17": {"strategy": "asymmetric", "min_kernel": 7}}
    )
    assert cost.count(named, 299).macs == cost.count(own, 299).macs
    wanted = models.create(
        "inception_v3",
        factorization={"grid17": {"strategy": "asymmetric", "min_kernel": 7, **choice}},
    )
    blocks = {node.name: node for node in plan_of(chosen)}
    assert blocks == {node.name: node for node in plan_of(wanted)}
    assert blocks != {node.name: node for node in plan_of(own)}


def plan_of(model):
    from inception_jax.models import plan

    return plan.build(model.network, model.options, 3)

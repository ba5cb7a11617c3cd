"""Every network of the tables: grids, bodies, every factorization at every site, input sizes."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import errors, models, ops
from inception_jax.models import geometry, plan
from inception_jax.models.layers import _aux_pool
from inception_jax.models.options import read
from inception_jax.models.spec import Block
from inception_jax.models.tables import NETWORKS

ALL = models.names()
BODIES = [(name, body) for name in ALL for body in NETWORKS[name].bodies]


def build(name: str, **overrides):
    return plan.build(NETWORKS[name], read(overrides), 3)


def ends(name: str, size: int, **overrides) -> tuple[tuple[int, int], int]:
    """Grid and channels after the last block."""
    nodes, channels = build(name, **overrides), 3
    for node in nodes:
        channels = plan.out_channels(node, channels)
    found = geometry.sizes(nodes, (size, size))
    assert found is not None
    return list(found.values())[-1], channels


def shapes(name: str, size: int, **overrides):
    model = models.create(name, num_classes=7, **overrides)
    image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda k, x: model.init_with_output(k, x), jax.random.key(0), image)


# K10: what Table 1 prints as the input of each row, and the last module's output
@pytest.mark.parametrize("name", ["inception_v2", "inception_v3_paper"])
@pytest.mark.parametrize("body", ["figure5", "released", "five17"])
def test_grids_of_table_1(name, body):
    nodes = build(name, body=body)
    grids, channels, seen = geometry.sizes(nodes, (299, 299)), 3, {}
    assert grids is not None
    for node in nodes:
        channels = plan.out_channels(node, channels)
        seen[node.name] = (grids[node.name][0], channels)
    first = {"Conv2d_1a_7x7": (147, 64)}
    if name == "inception_v3_paper":
        first = {
            "Conv2d_1a_3x3": (149, 32), "Conv2d_2a_3x3": (147, 32), "Conv2d_2b_3x3": (147, 64),
        }  # fmt: skip
    printed = {
        **first, "MaxPool_3a_3x3": (73, 64), "Conv2d_3b_3x3": (71, 80), "Conv2d_4a_3x3": (35, 192),
        "Conv2d_4b_3x3": (35, 288), "Mixed_5d": (35, 288), "Mixed_6a": (17, 768),
        "Mixed_6e": (17, 768), "Mixed_7a": (8, 1280), "Mixed_7b": (8, 2048), "Mixed_7c": (8, 2048),
    }  # fmt: skip
    assert {key: seen[key] for key in printed} == printed


@pytest.mark.parametrize(
    ("name", "overrides", "grids"),
    [
        ("googlenet", {}, {"3b": (28, 480), "4d": (14, 528), "5a": (7, 832), "5b": (7, 1024)}),
        ("bn_googlenet", {"body": "ported"}, {"3a": (28, 256), "4e": (14, 832), "5b": (7, 1024)}),
        ("bn_inception", {}, {"3c": (14, 576), "4c": (14, 576), "4e": (7, 1024), "5b": (7, 1024)}),
        ("bn_inception", {"body": "pool128"}, {"4c": (14, 608), "4e": (7, 1056)}),
    ],
)
@pytest.mark.parametrize("padding", ["tensorflow", "torch"])
def test_grids_at_224(name, overrides, grids, padding):
    nodes = build(name, strided_padding=padding, **overrides)
    sides, channels, seen = geometry.sizes(nodes, (224, 224)), 3, {}
    assert sides is not None
    for node in nodes:
        channels = plan.out_channels(node, channels)
        seen[node.name.removeprefix("Inception_")] = (sides[node.name][0], channels)
    assert {key: seen[key] for key in grids} == grids


@pytest.mark.parametrize(("name", "body"), BODIES)
def test_a_factorization_changes_no_grid_and_no_width(name, body):
    size = models.image_size(name)
    plain = ends(name, size, body=body)
    for strategy, site, activation in itertools.product(
        models.strategies(), models.SITES, ("relu", "linear")
    ):
        choice = {site: {"strategy": strategy, "activation": activation}}
        assert ends(name, size, body=body, factorization=choice) == plain


@pytest.mark.parametrize("name", ["inception_small", "bn_inception"])
@pytest.mark.parametrize("strategy", models.strategies())
def test_every_strategy_at_all_sites_at_once(name, strategy):
    outputs, _ = shapes(
        name, models.image_size(name), factorization=dict.fromkeys(models.SITES, strategy)
    )
    assert outputs.logits.shape == (2, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("strategy", models.strategies())
@pytest.mark.parametrize("site", models.SITES)
def test_every_strategy_builds_at_every_site(name, strategy, site):
    choice = {site: {"strategy": strategy, "activation": "linear"}}
    outputs, variables = shapes(name, models.image_size(name), factorization=choice)
    assert outputs.logits.shape == (2, 7)
    assert variables["params"]["Logits"]["kernel"].shape[0] == ends(name, 299)[1]


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("inception_small", 1), ("googlenet", 1), ("bn_googlenet", 1), ("bn_inception", 1),
        ("inception_v2", 75), ("inception_v3_paper", 75), ("inception_v3", 75),
    ],
)  # fmt: skip
def test_smallest_legal_size(name, smallest):
    heads = NETWORKS[name].aux_sites
    assert geometry.smallest_size(build(name)) == smallest
    outputs, _ = shapes(name, smallest, aux=heads)
    assert [out.shape for out in (outputs.logits, *outputs.aux)] == [(2, 7)] * (1 + len(heads))
    if smallest > 1:
        with pytest.raises(errors.UserError, match=f"the smallest that works is {smallest}x"):
            shapes(name, smallest - 1)


@pytest.mark.parametrize("name", [n for n in ALL if n != "inception_small"])
@pytest.mark.parametrize("reduction", ["pool_conv", "conv_pool"])
def test_bottleneck_reductions_have_the_same_output(name, reduction):
    size = models.image_size(name)
    assert ends(name, size, grid_reduction=reduction) == ends(name, size)


def test_direct_restores_the_5x5_of_the_paper():
    blocks = {n.name: n for n in build("inception_v2", factorization={"grid35": "direct"})}
    block = blocks["Mixed_5b"]
    assert isinstance(block, plan.Branches)
    kernels = [[s.kernel for s in b if isinstance(s, plan.ConvUnit)] for b in block.branches]
    assert kernels == [[(1, 1)], [(1, 1), (3, 3)], [(1, 1), (5, 5)], [(1, 1)]]


def test_v2_and_v3_differ_in_the_first_convolution_only():
    v2, v3 = build("inception_v2"), build("inception_v3_paper")
    assert v2[1:] == v3[3:]
    assert build("inception_v3_paper", stem="conv7x7") == v2


@pytest.mark.parametrize(
    ("name", "overrides", "lines"),
    [
        ("inception_v3", {"size": 299}, []),
        (
            "inception_v3",
            {"size": 128},
            ["Mixed_6e adapts to 128 px.*sees 1x1 .*not 5x5 as at 299"],
        ),
        ("googlenet", {"size": 112}, ["Inception_4a adapts", "Inception_4d .* 1x1 .* not 4x4"]),
    ],
)
def test_heads_say_that_they_adapt(name, overrides, lines):
    model = models.create(name, aux=NETWORKS[name].aux_sites)
    notes = models.notes(model, overrides["size"])
    assert len(notes) == len(lines)
    for note, pattern in zip(notes, lines, strict=True):
        assert re.search(pattern, note), note


@pytest.mark.parametrize(
    ("name", "overrides", "idle"),
    [
        ("inception_v3", {"factorization": {"grid35": "stacked_3x3"}}, []),
        ("inception_v3", {"grid_reduction": "pool_conv", "expanded": False}, []),
        ("inception_v2", {"factorization": {"grid35": "stacked_3x3"}}, ["factorization.grid35"]),
        ("googlenet", {"factorization": {"reduction": "asymmetric"}}, ["factorization.reduction"]),
        ("googlenet", {"grid_reduction": "conv_pool"}, ["grid_reduction"]),
        ("googlenet", {"expanded": False, "grid17_kernel": 5}, ["grid17_kernel", "expanded"]),
        ("bn_inception", {"stem_stride": 2}, ["stem_stride"]),
    ],
)
def test_choices_that_change_nothing_are_said(name, overrides, idle):
    model = models.create(name, **overrides)
    assert models.notes(model, models.image_size(name)) == []
    assert models.idle_choices(model) == [f"{choice} changes nothing in {name}" for choice in idle]


def test_depthwise_convolution_by_loops():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(3, 3, 1, 6))
    expected = np.zeros((2, 5, 4, 6))
    for c, i, j in itertools.product(range(6), range(5), range(4)):
        window = x[:, i : i + 3, j : j + 3, c // 2]
        expected[:, i, j, c] = (window * kernel[:, :, 0, c]).sum(axis=(1, 2))
    found = ops.conv(
        jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32),
        strides=(1, 1), padding=[(0, 0), (0, 0)],
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "cells"), [(14, [(0, 4), (3, 7), (7, 11), (10, 14)]), (2, None)])
def test_adaptive_pooling(size, cells):
    x = np.random.default_rng(0).normal(size=(1, size, size, 2))
    cells = cells or [(0, 1), (0, 1), (1, 2), (1, 2)]
    expected = [[x[:, a:b, c:d].mean((1, 2)) for c, d in cells] for a, b in cells]
    found = _aux_pool(jnp.asarray(x, jnp.float32), "adaptive")
    np.testing.assert_allclose(found, np.array(expected).transpose(2, 0, 1, 3), rtol=1e-5)


def test_sizes_that_torch_s_padding_cannot_take():
    # the ports' reductions pad a convolution on both sides and a pooling after the image: at 29 px
    # the former gives 15, the latter 14, and torch cannot concatenate them either
    with pytest.raises(errors.UserError, match="232x232 px; the next that works is 255x255"):
        shapes("bn_inception", 232, strided_padding="torch", body="pool128")
    assert shapes("bn_inception", 232)[0].logits.shape == (2, 7)


def test_torch_padding_by_hand():
    # a 7x7 at stride 2 on 224 px: TensorFlow pads 2 and 3, torch 3 and 3
    assert geometry.pads(224, 7, 2, "SAME") == (2, 3)
    assert geometry.pads(224, 7, 2, "SYMMETRIC") == (3, 3)
    # torch's ceil_mode: 112 -> 56 needs one column after the image, 113 -> 56 none
    assert geometry.pads(112, 3, 2, "CEIL") == (0, 1)
    assert geometry.pads(113, 3, 2, "CEIL") == (0, 0)
    assert geometry.pads(7, 2, 2, "CEIL") == (0, 1)


# Any network, strategies, options and size: it builds with the shapes that it should have, or says
# in one line why it cannot. Drawn once for all, so that a failure is the same everywhere.
_STRATEGIES = ("direct", "stacked_3x3", "asymmetric", "stacked_2x2")
_DRAWS = 32
_QUICK = 6


def draw(seed: int) -> tuple[str, int, dict[str, Any]]:
    rng = random.Random(300 + seed)  # a range that meets both kinds of refusal
    name = rng.choice(ALL)
    table = NETWORKS[name]
    blocks = [e.name for e in next(iter(table.bodies.values())) if isinstance(e, Block)]
    overrides: dict[str, Any] = {
        "stem": rng.choice(list(table.stems)),
        "body": rng.choice(list(table.bodies)),
        "grid_reduction": rng.choice(["parallel", "pool_conv", "conv_pool"]),
        "expanded": rng.random() < 0.7,
        "grid17_kernel": rng.choice([0, 0, 3, 4, 5, 9]),
        "stem_stride": rng.choice([0, 0, 1, 2]),
        "stem_pool": rng.random() < 0.8,
        "width": rng.choice([1.0, 0.5, 0.33, 0.02]),
        "strided_padding": rng.choice(["tensorflow", "torch"]),
        "aux": {"sites": rng.sample(blocks, rng.choice([0, 1, 2])),
                "pool": rng.choice(["5x5", "5x5", "adaptive"])},
        "factorization": {
            site: {
                "strategy": rng.choice(_STRATEGIES),
                "activation": rng.choice(["relu", "linear"]),
                "mid_filters": rng.choice(["table", "out", "geometric"]),
                "min_kernel": rng.choice([2, 3, 5]),
            }
            for site in rng.sample(models.SITES, rng.choice([1, 2, 5]))
        },
    }  # fmt: skip
    return name, rng.choice([8, 23, 61, 75, 79, 128, 151, 224, 225, 299]), overrides


@pytest.mark.parametrize(
    "seed", [pytest.param(i, marks=() if i < _QUICK else pytest.mark.slow) for i in range(_DRAWS)]
)
def test_any_combination_builds_or_says_why_not(seed):
    name, size, overrides = draw(seed)
    refusal, built = "", None
    try:
        built = shapes(name, size, **overrides)
    except errors.UserError as error:
        refusal = str(error)
    if built is None:
        assert re.fullmatch(r".*(the (smallest|next) that works is|needs an odd kernel).*", refusal)
        return
    outputs, variables = built
    sites = overrides["aux"]["sites"]
    assert [x.shape for x in (outputs.logits, *outputs.aux)] == [(2, 7)] * (1 + len(sites))
    assert ("batch_stats" in variables) == NETWORKS[name].batch_norm
    assert all(0 not in leaf.shape for leaf in jax.tree.leaves(variables))


def test_draws_meet_both_ends():
    built = {True: 0, False: 0}
    for seed in range(_DRAWS):
        name, size, overrides = draw(seed)
        try:
            nodes = build(name, **overrides)
            built[geometry.sizes(nodes, (size, size)) is not None] += 1
        except errors.UserError:
            built[False] += 1
    assert min(built.values()) > 4


def test_unknown_body_names_the_nearest():
    with pytest.raises(errors.UsageError, match="did you mean 'pool96'"):
        models.create("bn_inception", body="pool_96")


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 75), ("googlenet", 64)])
def test_a_head_made_at_full_size_takes_smaller_images(name, size):
    # weights of the published size are used at another without an error of shapes
    model = models.create(name, num_classes=7, aux=models.aux_sites(name))
    full, small = (
        jax.ShapeDtypeStruct((1, px, px, 3), jnp.float32) for px in (model.network.image_size, size)
    )
    variables = jax.eval_shape(model.init, jax.random.key(0), full)
    outputs = jax.eval_shape(model.apply, variables, small)
    assert all(out.shape == (1, 7) for out in outputs.aux)

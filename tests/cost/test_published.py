"""Every network's totals against published ones."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from inception_jax import cost, models

HEADS = {"aux": ("Inception_4a", "Inception_4d")}
HEAD_V3 = {"aux": ("Mixed_6e",)}
PORTED = {"body": "ported"}  # 3x3 in the branch that GoogLeNet's paper calls 5x5
SEPARABLE = {"stem": "separable7x7", "bn_scale": False}
PX_151 = {"stem_stride": 1}
PX_79 = {"stem_stride": 1, "stem_pool": False}


def key(overrides: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(overrides.items()))


@functools.cache
def count(name: str, overrides: tuple[Any, ...] = (), size: int = 0) -> cost.Cost:
    model = models.create(name, **dict(overrides))
    return cost.count(model, size or models.image_size(name))


class Numbers(NamedTuple):
    """Of every part of a network, how many numbers."""

    conv_weights: int
    channels: int  # of batch norm
    trainable: int
    statistics: int
    classifier: int


@functools.cache
def numbers(name: str, overrides: tuple[Any, ...] = (), classes: int = 1000) -> Numbers:
    size = models.image_size(name)
    model = models.create(name, num_classes=classes, **dict(overrides))
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables: Any = jax.eval_shape(model.init, jax.random.key(0), image)
    found = jax.tree.leaves(variables["params"])

    def total(leaves: list[Any]) -> int:
        return sum(math.prod(leaf.shape) for leaf in leaves)

    return Numbers(
        conv_weights=total([leaf for leaf in found if len(leaf.shape) == 4]),
        channels=total(jax.tree.leaves(variables.get("batch_stats", {}))) // 2,
        trainable=total(found),
        statistics=total(jax.tree.leaves(variables.get("batch_stats", {}))),
        classifier=total(jax.tree.leaves(variables["params"]["Logits"])),
    )


# What a published total adds up.
TRAINABLE = "what is trained: kernels, biases, beta and, unless bn_scale=False, gamma"
BASE = "TF-slim's tests: kernels, biases, beta, mean and variance; no gamma, no classifier"
EVERYTHING = "Keras's summary: what is trained, mean and variance"
BIASED = "the ports: what is trained and a bias before every batch norm"
RULES = {
    TRAINABLE: lambda n: n.trainable,
    BASE: lambda n: n.trainable + n.statistics - n.classifier,
    EVERYTHING: lambda n: n.trainable + n.statistics,
    BIASED: lambda n: n.trainable + n.channels,
}
NO_GAMMA = {"bn_scale": False}
CHAINS = {"body": "released"}  # the released modules behind Table 1's stem

# network, overrides, convolutions' weights, channels of batch norm, rule, total
TOTALS: list[tuple[str, dict[str, Any], int, int, str, int]] = [
    ("googlenet", {}, 5_966_272, 0, TRAINABLE, 6_998_552),
    ("googlenet", HEADS, 6_099_392, 0, TRAINABLE, 13_378_280),
    # torchvision's published num_params
    ("bn_googlenet", PORTED, 5_585_344, 7_280, TRAINABLE, 6_624_904),
    ("bn_googlenet", PORTED | HEADS, 5_718_464, 7_536, TRAINABLE, 13_004_888),
    # TF-slim's own tests of inception_v1_base, inception_v2_base and inception_v3_base
    ("bn_googlenet", PORTED | NO_GAMMA, 5_585_344, 7_280, BASE, 5_607_184),
    ("bn_inception", SEPARABLE, 10_143_384, 9_888, BASE, 10_173_112),
    ("inception_v3", NO_GAMMA, 21_751_136, 17_216, BASE, 21_802_784),
    ("bn_inception", {}, 10_150_080, 9_952, TRAINABLE, 11_194_984),
    ("bn_inception", {"body": "pool128"}, 10_240_192, 10_016, BIASED, 11_295_240),
    ("inception_v3", NO_GAMMA, 21_751_136, 17_216, EVERYTHING, 23_851_784),
    ("inception_v3", NO_GAMMA, 21_751_136, 17_216, TRAINABLE, 23_817_352),
    ("inception_v3", {}, 21_751_136, 17_216, TRAINABLE, 23_834_568),
    ("inception_v3", HEAD_V3, 24_307_040, 18_112, TRAINABLE, 27_161_264),
    ("inception_v3", {"stem": "conv7x7"}, 21_732_032, 17_152, TRAINABLE, 23_815_336),
    ("inception_v3_paper", CHAINS, 22_326_624, 17_536, TRAINABLE, 24_410_696),
]


@pytest.mark.parametrize(("name", "overrides", "conv_weights", "channels", "rule", "total"), TOTALS)
def test_published_totals(name, overrides, conv_weights, channels, rule, total):
    found = numbers(name, key(overrides))
    assert (found.conv_weights, found.channels) == (conv_weights, channels)
    assert RULES[rule](found) == total


# TF-slim's checkpoints have a class for background: 1001 in all
@pytest.mark.parametrize(
    ("overrides", "total"), [({}, 23_836_617), (HEAD_V3 | NO_GAMMA, 27_145_970)]
)
def test_totals_of_1001_classes(overrides, total):
    assert numbers("inception_v3", key(overrides), 1001).trainable == total


def test_the_other_numbers_of_tf_slim():
    separable = jax.eval_shape(
        models.create("bn_inception", **SEPARABLE).init,
        jax.random.key(0), jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32),
    )["params"]  # fmt: skip
    stem = [separable[f"Conv2d_1_7x7_{letter}"] for letter in "ab"]
    assert [math.prod(layer["kernel"].shape) for layer in stem] == [1_176, 1_536]
    assert [sorted(layer) for layer in stem] == [["kernel"], ["bias", "kernel"]]
    assert stem[1]["bias"].shape == (64,)
    assert numbers("inception_v3", key(NO_GAMMA)).statistics == 34_432


def test_biases_of_googlenet():
    # 7,280 of its convolutions, 1,000 of its classifier
    assert 6_998_552 - 5_966_272 - 1000 * 1025 == 7_280
    assert numbers("googlenet").trainable - 5_966_272 - 1000 * 1025 == 7_280


# network, overrides, px, GMAC: torchvision's published _ops (1.498, 5.713), the paper's 1.5 and 2.0
# Bn, and arithmetic over the layers' tables
GMACS: list[tuple[str, dict[str, Any], int, float]] = [
    ("googlenet", {}, 224, 1.583),
    ("googlenet", HEADS, 224, 1.591),
    ("bn_googlenet", PORTED, 224, 1.498),
    ("bn_inception", {}, 224, 2.019),
    ("bn_inception", {"body": "pool128"}, 224, 2.033),
    ("inception_v3", {}, 299, 5.713),
    ("inception_v3", HEAD_V3, 299, 5.719),
    ("inception_v3", {"stem": "conv7x7"}, 299, 5.300),
    ("inception_v3_paper", CHAINS, 299, 6.045),
    ("inception_v3", PX_151, 151, 5.713),
    ("inception_v3", PX_79, 79, 5.362),
    ("inception_v3", {}, 224, 2.838),
    ("inception_v3", {}, 75, 0.204),
]


@pytest.mark.parametrize(("name", "overrides", "size", "gmacs"), GMACS)
def test_published_macs(name, overrides, size, gmacs):
    counted = count(name, key(overrides), size)
    assert round(counted.macs / 1e9, 3) == gmacs


def test_macs_without_the_classifier():
    separable = count("bn_inception", key(SEPARABLE))
    assert round((separable.macs - 1024 * 1000) / 1e9, 3) == 1.934  # inception_v2_base


# No published totals: ours, from the widths in the tables.
@pytest.mark.parametrize(
    ("name", "overrides", "params", "gmacs"),
    [
        ("bn_googlenet", {}, 7_005_832, 1.583),
        ("bn_googlenet", PORTED | HEADS, 13_004_888, 1.507),
        ("inception_v2", {}, 24_244_008, 5.452),
        ("inception_v3_paper", {}, 24_263_240, 5.865),
        ("inception_v3_paper", {"body": "five17"}, 25_954_248, 6.353),
    ],
)
def test_totals_of_our_own_tables(name, overrides, params, gmacs):
    counted = count(name, key(overrides))
    assert (counted.params, round(counted.macs / 1e9, 3)) == (params, gmacs)


def test_parts_of_inception_v3():
    parts = {"stem": 0, "grid35": 0, "rest": 0}
    for block in count("inception_v3", size=299).blocks():
        after_stem = "grid35" if block.name.startswith("Mixed_5") else "rest"
        parts[after_stem if block.name[:5] in ("Mixed", "Logit") else "stem"] += block.macs
    assert {name: round(macs / 1e9, 3) for name, macs in parts.items()} == {
        "stem": 1.341, "grid35": 0.999, "rest": 3.373,
    }  # fmt: skip


# As GoogLeNet's paper prints them, million MACs; its 5a, printed as 54, is 51 by its own widths.
def test_googlenet_modules_as_printed():
    blocks = {b.name: b.macs / 1e6 for b in count("googlenet", size=224).blocks()}
    printed = {"3a": 128, "3b": 304, "4c": 100, "4d": 119, "4e": 170, "5b": 71}
    assert {n: round(blocks[f"Inception_{n}"]) for n in printed} == printed
    assert round(blocks["Conv2d_1_7x7"]) == 118  # printed as 34: a misprint


@pytest.mark.parametrize(
    ("name", "depth", "field"),
    [
        ("googlenet", 22, 715),  # "22 layers deep"
        ("bn_googlenet", 22, 715),
        ("bn_inception", 34, 699),  # the field as published (Araujo et al., Distill 2019), v3 too
        ("inception_v2", 47, 1323),
        ("inception_v3_paper", 49, 1327),
        ("inception_v3", 48, 1311),
    ],
)
def test_depth_and_receptive_field(name, depth, field):
    counted = count(name, size=models.image_size(name))
    assert (counted.depth, counted.receptive_field) == (depth, field)


# A head reaches farther than the logits where it stands late: it is on another path.
@pytest.mark.parametrize(
    ("name", "sites"),
    [("inception_v3", ("Mixed_6e", "Mixed_7c")), ("googlenet", ("Inception_4a", "Inception_5b"))],
)
def test_heads_are_not_on_the_path_to_the_logits(name, sites):
    plain, headed = (
        count(name, key(overrides), models.image_size(name)) for overrides in ({}, {"aux": sites})
    )
    assert headed.macs > plain.macs
    assert headed.depth == plain.depth
    assert headed.receptive_field == plain.receptive_field

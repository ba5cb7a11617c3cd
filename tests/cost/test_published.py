"""Every network's totals against published ones, and against XLA's own count."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from inception_jax import cost, models

HEADS = ("Inception_4a", "Inception_4d")
SEPARABLE = {"stem": "separable7x7", "bn_scale": False}


@functools.cache
def count(name: str, **overrides: Any) -> cost.Cost:
    return cost.count(models.create(name, **overrides), models.image_size(name))


# Conventions. "params" is what we count: trainable parameters, that is kernels, biases and the
# classifier, and for every channel of batch norm beta and, unless bn_scale=False, gamma.
@pytest.mark.parametrize(
    ("name", "overrides", "params", "gmacs"),
    [
        ("googlenet", {}, 6_998_552, 1.583),
        ("googlenet", {"aux": HEADS}, 13_378_280, 1.591),
        # torchvision's googlenet, whose "5x5" branch is 3x3: its published num_params and _ops
        ("bn_googlenet", {"body": "ported"}, 6_624_904, 1.498),
        ("bn_googlenet", {"body": "ported", "aux": HEADS}, 13_004_888, 1.507),
        ("bn_inception", {}, 11_194_984, 2.019),
        ("bn_inception", {"body": "pool128"}, 11_285_224, 2.033),
        ("bn_inception", SEPARABLE, 11_178_336, 1.935),
        ("inception_v3_paper", {"body": "released"}, 24_410_696, 6.045),
        ("inception_v3", {}, 23_834_568, 5.713),
        ("inception_v3", {"aux": ("Mixed_6e",)}, 27_161_264, 5.719),
        # no published totals: ours, from the widths in the tables
        ("bn_googlenet", {}, 7_005_832, 1.583),
        ("inception_v2", {}, 24_244_008, 5.452),
        ("inception_v3_paper", {}, 24_263_240, 5.865),
        ("inception_v3_paper", {"body": "five17"}, 25_954_248, 6.353),
    ],
)
def test_trainable_parameters_and_macs(name, overrides, params, gmacs):
    counted = count(name, **overrides)
    assert counted.params == params
    assert round(counted.macs / 1e9, 3) == gmacs


# Totals that also count running statistics, and leave out the classifier: TF-slim's own tests.
# Beta, mean and variance for every channel, no gamma.
@pytest.mark.parametrize(
    ("name", "overrides", "total"),
    [
        ("bn_googlenet", {"body": "ported", "bn_scale": False}, 5_607_184),  # inception_v1_base
        ("bn_inception", SEPARABLE, 10_173_112),  # inception_v2_base
        ("inception_v3", {"bn_scale": False}, 21_802_784),  # inception_v3_base; Keras without top
    ],
)
def test_totals_with_running_statistics(name, overrides, total):
    variables = shapes(name, overrides)
    del variables["params"]["Logits"]
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(variables)) == total


def test_totals_with_the_biases_of_the_port():
    # the Caffe and PyTorch ports of BN-Inception have a bias before every batch norm as well
    variables = shapes("bn_inception", {"body": "pool128"})
    channels = sum(math.prod(x.shape) for x in jax.tree.leaves(variables["batch_stats"])) // 2
    trainable = sum(math.prod(x.shape) for x in jax.tree.leaves(variables["params"]))
    assert channels == 10_016
    assert trainable + channels == 11_295_240


def shapes(name: str, overrides: dict[str, Any]) -> Any:
    size = models.image_size(name)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(models.create(name, **overrides).init, jax.random.key(0), image)


# As GoogLeNet's paper prints them, million MACs; its 5a, printed as 54, is 51 by its own widths.
def test_googlenet_modules_as_printed():
    blocks = {b.name: b.macs / 1e6 for b in count("googlenet").blocks()}
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
    counted = count(name)
    assert (counted.depth, counted.receptive_field) == (depth, field)


# The rule: XLA counts 2 FLOPs a MAC and leaves out taps that fall on padding, which our rule (the
# usual one) counts; besides, it counts each elementwise operation. So our MACs less those on
# padding must be half of XLA's FLOPs but for a few operations an activation.
@pytest.mark.parametrize("name", models.names())
def test_macs_against_xla(name):
    size = models.image_size(name)
    model = models.create(name, ops="xla")
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)

    def logits(v, x):
        return model.apply(v, x).logits  # type: ignore[union-attr]

    analysis = jax.jit(logits).lower(variables, image).cost_analysis()
    assert analysis is not None
    flops = analysis["flops"]
    convolutions = list(equations(jax.make_jaxpr(logits)(variables, image).jaxpr))
    counted = count(name)
    on_padding = sum(all_taps(eqn) - inside_taps(eqn) for eqn in convolutions)
    activations = sum(math.prod(layer.output) for layer in counted.layers)
    elementwise = flops - 2 * (counted.macs - on_padding)
    assert 0 < elementwise < 15 * activations


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "conv_general_dilated":
            yield eqn
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def all_taps(eqn) -> int:
    kernel = eqn.invars[1].aval.shape
    return math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel[:-1])


def inside_taps(eqn) -> int:
    """Multiply-adds of a convolution that touch a pixel, not padding."""
    (n, h, w, _), kernel = eqn.invars[0].aval.shape, eqn.invars[1].aval.shape
    total = n * math.prod(kernel[2:])
    for size, k, stride, (low, high) in zip(
        (h, w), kernel[:2], eqn.params["window_strides"], eqn.params["padding"], strict=True
    ):
        starts = range(-low, size + high - k + 1, stride)
        total *= sum(min(start + k, size) - max(start, 0) for start in starts)
    return total

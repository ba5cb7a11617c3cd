"""Our counts against XLA's own."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from inception_jax import cost, models
from tests.cost.test_published import CHAINS, HEAD_V3, HEADS, PORTED, PX_79, PX_151, SEPARABLE

ROWS: list[tuple[str, dict[str, Any], int]] = [
    *((name, {}, models.image_size(name)) for name in models.names()),
    ("googlenet", HEADS, 224),
    ("bn_googlenet", PORTED, 224),
    ("bn_googlenet", PORTED | HEADS, 224),
    ("bn_inception", SEPARABLE, 224),
    ("bn_inception", {"body": "pool128"}, 224),
    ("inception_v3", HEAD_V3, 299),
    ("inception_v3", {"stem": "conv7x7"}, 299),
    ("inception_v3", PX_151, 151),
    ("inception_v3", PX_79, 79),
    ("inception_v3", {"grid_reduction": "conv_pool", "expanded": False}, 299),
    ("inception_v3_paper", CHAINS, 299),
]
QUICK = ("inception_small", "inception_v3")


def rows() -> list[Any]:
    found = []
    for name, overrides, size in ROWS:
        marks = () if name in QUICK and not overrides else (pytest.mark.slow,)
        label = "-".join([name, str(size), *map(str, overrides)])
        found.append(pytest.param(name, overrides, size, marks=marks, id=label))
    return found


# The rule: XLA counts 2 FLOPs a MAC and leaves out taps that fall on padding, which our rule (the
# usual one) counts; besides, it counts each elementwise operation. So our MACs less those on
# padding must be half of XLA's FLOPs but for the batch norm and ReLU of every activation and the
# pooling: 5 to 10 operations an activation, less than 1 % of the whole.
@pytest.mark.parametrize(("name", "overrides", "size"), rows())
def test_macs_against_xla(name, overrides, size):
    model = models.create(name, ops="xla", **overrides)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    outputs = jax.jit(model.apply)
    analysis = outputs.lower(variables, image).cost_analysis()
    assert analysis is not None
    flops = analysis["flops"]
    convolutions = list(equations(jax.make_jaxpr(outputs)(variables, image).jaxpr))
    counted = cost.count(model, size)
    on_padding = sum(all_taps(eqn) - inside_taps(eqn) for eqn in convolutions)
    activations = sum(math.prod(layer.output) for layer in counted.layers)
    elementwise = flops - 2 * (counted.macs - on_padding)
    assert 5 * activations < elementwise < 10 * activations
    assert elementwise < 0.01 * flops or name == "inception_small"


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

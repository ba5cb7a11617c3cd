"""Every op in every form: against float64 loops, and its derivatives against the plain XLA op."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import ops
from inception_jax.ops import rules

_spec = importlib.util.spec_from_file_location(
    "ops_reference", Path(__file__).with_name("reference.py")
)
assert _spec
assert _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

NONE, ONE, TALL = ((0, 0), (0, 0)), ((1, 1), (1, 1)), ((3, 3), (0, 0))

# name: input, kernel, strides, padding, form
CONVS: dict[str, Any] = {
    "1x1": ((2, 5, 6, 3), (1, 1, 3, 4), (1, 1), NONE, "product"),
    "1x1 stride 2": ((2, 5, 6, 3), (1, 1, 3, 4), (2, 2), NONE, "plain"),
    "3x3 same": ((2, 5, 6, 8), (3, 3, 8, 4), (1, 1), ONE, "plain"),
    "3x3 valid": ((2, 7, 6, 8), (3, 3, 8, 4), (1, 1), NONE, "padded_width"),
    "3x3 valid few": ((2, 7, 6, 3), (3, 3, 3, 4), (1, 1), NONE, "plain"),
    "3x3 first grey": ((1, 24, 25, 1), (3, 3, 1, 4), (1, 1), ONE, "patches"),
    "3x3 first valid": ((1, 25, 24, 3), (3, 3, 3, 4), (1, 1), NONE, "patches"),
    "3x3 first stride 2": ((1, 25, 24, 3), (3, 3, 3, 4), (2, 2), NONE, "plain"),
    "3x3 valid many": ((2, 6, 7, 64), (3, 3, 64, 4), (1, 1), NONE, "padded_width"),
    "stride 2": ((2, 8, 7, 8), (3, 3, 8, 4), (2, 2), NONE, "padded_width"),
    "stride 2 ragged": ((2, 8, 8, 8), (3, 3, 8, 4), (2, 2), NONE, "padded_width"),
    "stride 2 many": ((2, 8, 7, 64), (3, 3, 64, 4), (2, 2), NONE, "padded_width"),
    "stride 1x2": ((2, 8, 8, 8), (3, 3, 8, 4), (1, 2), NONE, "padded_width"),
    "stride 1x2 many": ((2, 8, 8, 64), (3, 3, 64, 4), (1, 2), NONE, "padded_width"),
    "stride 2 same": ((2, 8, 8, 8), (3, 3, 8, 4), (2, 2), ((0, 1), (0, 1)), "plain"),
    "7x1": ((2, 9, 6, 8), (7, 1, 8, 4), (1, 1), ((3, 3), (0, 0)), "plain"),
    "7x1 valid": ((2, 9, 6, 8), (7, 1, 8, 4), (1, 1), NONE, "plain"),
    "1x7": ((2, 6, 9, 8), (1, 7, 8, 4), (1, 1), ((0, 0), (3, 3)), "plain"),
    "1x7 valid": ((2, 6, 9, 8), (1, 7, 8, 4), (1, 1), NONE, "padded_width"),
    "2x2": ((2, 6, 5, 8), (2, 2, 8, 4), (1, 1), ((0, 1), (0, 1)), "plain"),
    "whole image": ((2, 5, 5, 8), (5, 5, 8, 4), (1, 1), NONE, "padded_width"),
    "winograd 3x3": ((2, 16, 15, 32), (3, 3, 32, 33), (1, 1), ONE, "winograd"),
    "winograd 5x5": ((2, 13, 17, 32), (5, 5, 32, 32), (1, 1), NONE, "winograd"),
    "winograd 7x1": ((2, 17, 12, 32), (7, 1, 32, 32), (1, 1), ((3, 3), (0, 0)), "winograd"),
}
# input, window, strides, padding
POOLS: dict[str, Any] = {
    "3x3 stride 2": ((2, 9, 8, 3), (3, 3), (2, 2), NONE),
    "3x3 stride 2 same": ((2, 8, 7, 3), (3, 3), (2, 2), ((0, 1), (1, 1))),
    "3x3 same": ((2, 5, 6, 3), (3, 3), (1, 1), ONE),
    "5x5 stride 3": ((2, 11, 9, 3), (5, 5), (3, 3), NONE),
    "2x3 stride 3x2": ((2, 9, 9, 3), (2, 3), (3, 2), ((1, 0), (0, 1))),
    "whole image": ((2, 4, 6, 3), (4, 6), (1, 1), NONE),
    "larger than the limit": ((2, 7, 7, 3), (6, 6), (1, 1), NONE),
}
LOWERINGS = rules.LOWERINGS


def normal(*shape, seed=0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(actual, expected, tolerance=2e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            np.asarray(a, np.float64),
            np.asarray(b, np.float64),
            rtol=tolerance,
            atol=tolerance * max(1.0, np.abs(np.asarray(b, np.float64)).max()),
        ),
        actual,
        expected,
    )


def weighted(op):
    """A scalar of all of an op's outputs, each with its own weights."""

    def total(*args):
        outs = jax.tree.leaves(op(*args))
        return sum(
            jnp.sum(out.astype(jnp.float32) * normal(*out.shape, seed=i))
            for i, out in enumerate(outs)
        )

    return total


def cases():
    """Every op at every shape class: name -> (op of a lowering, arguments)."""
    out = {}
    for name, (shape, kernel, strides, padding, *_) in CONVS.items():
        op = partial(ops.conv, strides=strides, padding=padding)
        out[f"conv {name}"] = (op, (normal(*shape), normal(*kernel, seed=1)))
    for name, (shape, *geometry) in POOLS.items():
        args = (normal(*shape),)
        out[f"max {name}"] = (
            lambda x, lowering, g=geometry: ops.max_pool(x, *g, lowering=lowering),
            args,
        )
        for count in (True, False):
            out[f"avg {name} {count}"] = (
                lambda x, lowering, g=geometry, c=count: ops.avg_pool(
                    x, *g, count_include_pad=c, lowering=lowering
                ),
                args,
            )
    for relu, groups in ((True, 1), (False, 1), (True, 2), (True, 4)):
        op = partial(ops.batch_norm_train, epsilon=1e-3, relu=relu, groups=groups)
        x, scale, bias = 2 * normal(4, 3, 5, 6) + 1, normal(6, seed=1), normal(6, seed=2)
        out[f"bn {relu} {groups}"] = (op, (x, scale, bias))
        out[f"bn no scale {relu} {groups}"] = (
            lambda x, b, lowering, op=op: op(x, None, b, lowering=lowering),
            (x, bias),
        )
    return out


CASES = cases()
# One of every form, where each costs a compilation or more.
SOME = [
    "conv 1x1",
    "conv 3x3 valid",
    "conv 3x3 valid many",
    "conv stride 2",
    "conv winograd 7x1",
    "conv winograd 3x3",
    "max 3x3 stride 2 same",
    "avg 3x3 same False",
    "avg 5x5 stride 3 True",
    "bn True 2",
]


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", CONVS)
def test_conv_equals_loops(name, lowering):
    shape, kernel, strides, padding, *_ = CONVS[name]
    x, kernel = normal(*shape), normal(*kernel, seed=1)
    op = partial(ops.conv, strides=strides, padding=padding, lowering=lowering)
    close(jax.jit(op)(x, kernel), reference.conv(x, kernel, strides, padding))


@pytest.mark.parametrize("name", CONVS)
def test_conv_takes_the_named_form(name):
    shape, kernel, strides, padding, form = CONVS[name]
    site = rules.Site(kernel[:2], strides, padding, kernel[2], kernel[3], shape[1:3], "float32")
    assert rules.choose(site) == form


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", POOLS)
def test_pools_equal_loops(name, lowering):
    shape, *geometry = POOLS[name]
    x = normal(*shape)
    close(ops.max_pool(x, *geometry, lowering=lowering), reference.max_pool(x, *geometry))
    for count in (True, False):
        close(
            ops.avg_pool(x, *geometry, count_include_pad=count, lowering=lowering),
            reference.avg_pool(x, *geometry, count),
        )


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_batch_norm_equals_loops(lowering, groups, relu, scaled):
    x, bias = 3 * normal(4, 3, 5, 6) + 2, normal(6, seed=2)
    scale = normal(6, seed=1) if scaled else None
    y, mean, var = ops.batch_norm_train(
        x, scale, bias, epsilon=1e-3, relu=relu, groups=groups, lowering=lowering
    )
    parts = np.split(x.astype(np.float64), groups)
    means, variances = ([f(part, axis=(0, 1, 2)) for part in parts] for f in (np.mean, np.var))
    expected = np.concatenate(
        [
            reference.batch_norm(part, scale, bias, m, v, 1e-3, relu)
            for part, m, v in zip(parts, means, variances, strict=True)
        ]
    )
    close((y, mean, var), (expected, np.mean(means, 0), np.mean(variances, 0)))
    m, v = (jnp.asarray(part[0], jnp.float32) for part in (means, variances))
    y = ops.batch_norm_eval(x, scale, bias, m, v, epsilon=1e-3, relu=relu)
    close(y, reference.batch_norm(x, scale, bias, means[0], variances[0], 1e-3, relu))


def test_batch_norm_far_from_zero():
    """The variance survives a mean a thousand deviations away."""
    x = normal(4, 8, 8, 3) + 1000
    out = ops.batch_norm_train(x, None, jnp.zeros(3), epsilon=1e-3, relu=False)
    wide = x.astype(np.float64)
    close(out[2], wide.var((0, 1, 2)), 1e-4)


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_xla(name):
    op, args = CASES[name]
    every = tuple(range(len(args)))
    fast, plain = (
        jax.jit(jax.grad(weighted(partial(op, lowering=low)), every))(*args) for low in LOWERINGS
    )
    close(fast, plain, 5e-5)


@pytest.mark.parametrize("name", SOME)
def test_second_order_equals_xla(name):
    """Forward over reverse and reverse over reverse, along one direction."""
    op, args = CASES[name]
    every = tuple(range(len(args)))
    direction = tuple(normal(*arg.shape, seed=7 + i) for i, arg in enumerate(args))

    def squares(lowering):
        return weighted(lambda *a: jax.tree.map(jnp.square, op(*a, lowering=lowering)))

    def slope(lowering):
        def along(*a):
            gradients = jax.grad(squares(lowering), every)(*a)
            return sum(jnp.vdot(g, d) for g, d in zip(gradients, direction, strict=True))

        return along

    def forward_over_reverse(lowering):
        return jax.jit(lambda *a: jax.jvp(jax.grad(squares(lowering), every), a, direction)[1])

    plain = jax.jit(jax.grad(slope("xla"), every))(*args)
    close(jax.jit(jax.grad(slope("auto"), every))(*args), plain, 2e-4)
    close(forward_over_reverse("auto")(*args), plain, 2e-4)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_ties_of_max_pool_go_to_the_first(lowering):
    x = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(1.0)
    gradient = jax.grad(lambda x: ops.max_pool(x, (2, 2), (2, 2), NONE, lowering).sum())(x)
    expected = np.zeros((4, 4))
    expected[1, 1] = expected[0, 2] = expected[2, 0] = expected[2, 2] = 1
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


@pytest.mark.parametrize("name", SOME)
def test_vmap(name):
    op, args = CASES[name]
    gradient = jax.jit(jax.grad(weighted(partial(op, lowering="auto")), tuple(range(len(args)))))
    stacks = tuple(np.stack([arg, 0.5 * arg + 0.1]) for arg in args)
    each = [gradient(*(stack[i] for stack in stacks)) for i in (0, 1)]
    close(jax.vmap(gradient)(*stacks), jax.tree.map(lambda *a: np.stack(a), *each), 5e-5)


@pytest.mark.parametrize("name", SOME)
def test_checkpoint(name):
    op, args = CASES[name]
    total = weighted(partial(op, lowering="auto"))
    plain, again = (jax.jit(jax.grad(f))(*args) for f in (total, jax.checkpoint(total)))
    close(again, plain, 5e-5)


@pytest.mark.parametrize("name", SOME)
def test_bfloat16(name):
    op, args = CASES[name]
    half = tuple(jnp.asarray(arg, jnp.bfloat16) for arg in args)
    fast, plain = (
        jax.jit(jax.value_and_grad(weighted(partial(op, lowering=low))))(*half) for low in LOWERINGS
    )
    assert fast[1].dtype == jnp.bfloat16
    close(fast, plain, 0.05)


@pytest.mark.parametrize("name", SOME)
def test_sharded_batch(name):
    """Each device holds part of the batch; the partitioned program gives the same values."""
    op, args = CASES[name]
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    total = jax.value_and_grad(weighted(partial(op, lowering="auto")), tuple(range(len(args))))
    placed = [jax.device_put(args[0], split), *(jax.device_put(arg, whole) for arg in args[1:])]
    close(jax.jit(total)(*placed), jax.jit(total)(*args), 5e-5)


@pytest.mark.parametrize("name", ["conv winograd 3x3", "max 3x3 stride 2 same"])
def test_what_must_not_be_computed_again_stays_a_call(name):
    """XLA fuses nothing into a call, which the frontend's attribute keeps one, also in a mesh."""
    op, args = CASES[name]
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    gradient = jax.grad(weighted(partial(op, lowering="auto")))
    for placed in (args, (jax.device_put(args[0], split), *jax.device_put(args[1:], whole))):
        text = jax.jit(gradient).lower(*placed).compile().as_text() or ""
        assert " call(" in text
        assert " all-gather(" not in text


def test_padding_beyond_the_kernel():
    """A 1x7 kernel with a border above has no such gradient by Winograd's windows."""
    x, kernel, padding = normal(1, 17, 17, 32), normal(1, 7, 32, 32, seed=1), ((1, 1), (3, 3))
    conv = partial(ops.conv, strides=(1, 1), padding=padding)
    fast, plain = (
        jax.grad(weighted(partial(conv, lowering=lowering)), (0, 1))(x, kernel)
        for lowering in LOWERINGS
    )
    close(fast, plain, 5e-5)


def test_wrong_use_is_told():
    x = normal(3, 4, 4, 8)
    with pytest.raises(ValueError, match="lowering must be one of auto, xla, not 'fast'"):
        ops.max_pool(x, (2, 2), (2, 2), NONE, "fast")
    with pytest.raises(ValueError, match="a batch of 3 cannot be split into 2 equal groups"):
        ops.batch_norm_train(x, None, normal(8), epsilon=1e-3, relu=True, groups=2)

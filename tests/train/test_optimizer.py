"""Optimizers against float64 NumPy transcriptions of their published update rules."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from standin import config

from inception_jax import errors
from inception_jax.train import optimizer, schedule

RNG = np.random.default_rng(1)
PARAMS = {
    "conv": {"kernel": RNG.normal(size=(3, 3, 2, 4)), "bias": RNG.normal(size=4)},
    "norm": {"scale": np.ones(4), "bias": RNG.normal(size=4)},
}
GRADS = [jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape) * 2, PARAMS) for _ in range(40)]


def trajectory(cfg, dtype=jnp.float32):
    """Parameters after the 40 gradients, by our optimizer."""
    rates = jnp.asarray(schedule.rates(cfg.optim, cfg.derived))
    optim = optimizer.create(cfg.optim, lambda count: rates[count])
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), PARAMS)
    state = optim.init(params)

    @jax.jit
    def step(params, state, grads):
        updates, state = optim.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for grads in GRADS:
        small = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), grads)
        params, state = step(params, state, small)
    return params


def flat(tree):
    return {jax.tree_util.keystr(p): np.array(v) for p, v in jax.tree.leaves_with_path(tree)}


def rmsprop(rate, *, decay, momentum, epsilon, weight_decay, clip, initial=1.0, inside=True):
    """TensorFlow 1's RMSPropOptimizer in float64, clipped, with L2 on kernels; PyTorch's if told.

    PyTorch's mean squares start at 0 and its epsilon stands beside the root. Its momentum leaves
    out the rate, which is the same while the rate is constant.
    """
    w = flat(PARAMS)
    square = {name: np.full_like(value, initial) for name, value in w.items()}
    moment = {name: np.zeros_like(value) for name, value in w.items()}
    for t, grads in enumerate(GRADS):
        g = flat(grads)
        norm = np.sqrt(sum((value**2).sum() for value in g.values()))
        for name in w:
            gradient = g[name] * min(1.0, clip / norm)
            gradient = gradient + weight_decay * w[name] * ("kernel" in name)
            square[name] = decay * square[name] + (1 - decay) * gradient**2
            root = np.sqrt(square[name] + epsilon) if inside else np.sqrt(square[name]) + epsilon
            moment[name] = momentum * moment[name] + rate(t) * gradient / root
            w[name] = w[name] - moment[name]
    return w


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(
    ("changed", "reference"),
    [
        ({}, {}),
        ({"optim__rms_initial": 0.0}, {"initial": 0.0}),
        ({"optim__epsilon_in_root": False}, {"inside": False}),
        ({"optim__momentum": 0.0}, {"momentum": 0.0}),
        ({"optim__rms_decay": 0.99}, {"decay": 0.99}),
        ({"optim__weight_decay": 0.0}, {"weight_decay": 0.0}),
        ({"optim__clip_norm": 0.0}, {"clip": np.inf}),
        ({"optim__staircase": False}, {"rate": lambda t: 0.045 * 0.94 ** (t / 16)}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_golden_trajectory_of_the_papers_rmsprop_and_of_each_key_that_changes_it(
    changed, reference, dtype
):
    """In float64 to 1e-12 but for the rate, which reaches the step as a float32."""
    cfg = config(
        train__epochs=9, optim__name="rmsprop", optim__learning_rate=0.045,
        optim__schedule="exponential",
        **{
            "optim__epsilon": 1.0, "optim__rms_decay": 0.9, "optim__momentum": 0.9,
            "optim__weight_decay": 4e-5, "optim__clip_norm": 2.0,
        } | changed,
    )  # fmt: skip
    published: Any = {
        "rate": lambda t: 0.045 * 0.94 ** (t // 16), "decay": 0.9, "momentum": 0.9, "epsilon": 1.0,
        "weight_decay": 4e-5, "clip": 2.0,
    } | reference  # fmt: skip
    exact = published["rate"]
    published["rate"] = lambda t: float(np.float32(exact(t)))
    wanted = rmsprop(**published)
    with jax.enable_x64(dtype == jnp.float64):
        found = flat(trajectory(cfg, dtype))
    close: Any = (
        {"rtol": 1e-12, "atol": 1e-13} if dtype == jnp.float64 else {"rtol": 2e-5, "atol": 2e-6}
    )
    for name, value in found.items():
        assert value.dtype == dtype
        np.testing.assert_allclose(value, wanted[name], **close)


def test_sgd_with_momentum_and_l2():
    cfg = config(
        train__epochs=9, optim__name="sgd", optim__learning_rate=0.01, optim__schedule="constant",
        optim__momentum=0.9, optim__weight_decay=0.1, optim__clip_norm=0.0,
    )  # fmt: skip
    w = flat(PARAMS)
    moment = {name: np.zeros_like(value) for name, value in w.items()}
    for grads in map(flat, GRADS):
        for name in w:
            moment[name] = 0.9 * moment[name] + grads[name] + 0.1 * w[name] * ("kernel" in name)
            w[name] = w[name] - 0.01 * moment[name]
    for name, value in flat(trajectory(cfg)).items():
        np.testing.assert_allclose(value, w[name], rtol=2e-5, atol=2e-6)


def test_adamw_decays_kernels_apart_from_the_gradient():
    cfg = config(
        train__epochs=9, optim__name="adamw", optim__learning_rate=0.01, optim__schedule="constant",
        optim__weight_decay=0.1, optim__epsilon=1e-8,
    )  # fmt: skip
    w = flat(PARAMS)
    first = {name: np.zeros_like(value) for name, value in w.items()}
    second = {name: np.zeros_like(value) for name, value in w.items()}
    for t, grads in enumerate(map(flat, GRADS), start=1):
        for name in w:
            first[name] = 0.9 * first[name] + 0.1 * grads[name]
            second[name] = 0.999 * second[name] + 0.001 * grads[name] ** 2
            root = np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8
            update = first[name] / (1 - 0.9**t) / root + 0.1 * w[name] * ("kernel" in name)
            w[name] = w[name] - 0.01 * update
    for name, value in flat(trajectory(cfg)).items():
        np.testing.assert_allclose(value, w[name], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adamw", "lamb"])
def test_weight_decay_moves_kernels_alone(name):
    cfg = config(optim__name=name, optim__weight_decay=0.5, optim__schedule="constant")
    optim = optimizer.create(cfg.optim, lambda count: 0.1)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), PARAMS)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optim.update(zero, optim.init(params), params)
    moved = {path for path, value in flat(updates).items() if np.abs(value).max() > 0}
    assert moved == {"['conv']['kernel']"}


def test_an_unknown_optimizer_names_the_nearest():
    cfg = config(optim__name="rmspop")
    with pytest.raises(errors.UsageError, match=r"'rmspop'; did you mean 'rmsprop'"):
        optimizer.create(cfg.optim, lambda count: 0.1)

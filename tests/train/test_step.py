"""The compiled step: what it computes, and that devices and micro-batches do not change it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from standin import CLASSES, SHAPE, Network, batch, config

from inception_jax import errors
from inception_jax.train import mesh as meshes
from inception_jax.train import state, step


@functools.cache
def program(network, overrides):
    """(initial state on the host, step function, mesh), compiled once a module."""
    recipe = {"optim__name": "sgd", "optim__schedule": "constant", "optim__learning_rate": 0.05}
    cfg = config(**recipe | dict(overrides))
    mesh = meshes.create(cfg)
    start = jax.device_get(state.create(network, cfg, SHAPE))
    function = step.train_step(network, cfg, mesh)
    return start, lambda now, examples: function(now, examples, cfg.optim.learning_rate), mesh


def setup(network=None, **overrides):
    """(state, step function, mesh) of a stand-in network."""
    start, function, mesh = program(network or Network(), tuple(overrides.items()))  # pyright: ignore[reportArgumentType]
    return jax.device_put(start, meshes.replicated(mesh)), function, mesh


def train(count=3, network=None, **overrides):
    """(last state, metrics of every step) after `count` steps."""
    current, function, mesh = setup(network, **overrides)
    history = []
    for index in range(count):
        current, metrics = function(current, meshes.put(batch(seed=index), mesh))
        history.append(jax.device_get(metrics))
    return jax.device_get(current), history


def close(one, other, rtol):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10), one, other
    )


def test_normalize_maps_bytes_to_the_unit_interval_around_zero():
    images = jnp.asarray([0, 51, 255], jnp.uint8)
    np.testing.assert_allclose(step.normalize(images), [-1.0, -0.6, 1.0], atol=1e-7)
    assert step.normalize(jnp.float32(0.3)) == jnp.float32(0.3)


def test_one_sgd_step_is_the_gradient_of_the_papers_loss():
    rate = 0.1
    start, function, mesh = setup(
        optim__name="sgd", optim__momentum=0.0, optim__weight_decay=0.0,
        optim__learning_rate=rate, loss__label_smoothing=0.1, loss__aux_weight=0.4,
    )  # fmt: skip
    examples = batch()
    before = jax.device_get(start)

    def loss(params):
        images = jnp.asarray(examples["image"], jnp.float32) / 127.5 - 1
        outputs, _ = Network().apply(
            {"params": params, "batch_stats": before.batch_stats}, images, train=True,
            mutable=["batch_stats"],
        )  # fmt: skip
        targets = 0.9 * np.eye(CLASSES)[examples["label"]] + 0.1 / CLASSES
        heads = [-(targets * jax.nn.log_softmax(x)).sum(-1).mean() for x in
                 (outputs.logits, outputs.aux[0])]  # fmt: skip
        return heads[0] + 0.4 * heads[1]

    value, grads = jax.value_and_grad(loss)(before.params)
    after, metrics = function(start, meshes.put(examples, mesh))
    close(after.params, jax.tree.map(lambda w, g: w - rate * g, before.params, grads), 1e-5)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    squares = sum(float((g**2).sum()) for g in jax.tree.leaves(grads))
    np.testing.assert_allclose(metrics["grad_norm"], squares**0.5, rtol=1e-4)
    assert metrics["leaf_finite"].all()


def test_batch_statistics_are_those_of_the_whole_batch_on_two_devices():
    start, function, mesh = setup(parallel__devices=2)
    before = jax.device_get(start)
    examples = batch()
    images = jnp.asarray(examples["image"], jnp.float32) / 127.5 - 1
    kernel, bias = before.params["stem"]["kernel"], before.params["stem"]["bias"]
    x = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = np.asarray(x) + bias[None, None, None]
    after, _ = function(start, meshes.put(examples, mesh))
    mean = after.batch_stats["norm"]["mean"]
    np.testing.assert_allclose(mean, 0.1 * x.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    one, _ = train(network=Network(dropout=0.5))
    same, _ = train(network=Network(dropout=0.5))
    other, _ = train(network=Network(dropout=0.5), seed=1)
    assert state.digest(one) == state.digest(same)
    assert state.digest(one.params) != state.digest(other.params)


def test_all_seeds_rates_and_lengths_run_one_compiled_program():
    texts = []
    for seed, rate in ((0, 0.1), (12345, 0.2)):
        cfg = config(seed=seed, optim__learning_rate=rate, train__epochs=1 + seed % 2)
        mesh = meshes.create(cfg)
        start = state.create(Network(), cfg, SHAPE, sharding=meshes.replicated(mesh))
        function = step.train_step(Network(dropout=0.5), cfg, mesh)
        compiled: Any = function
        lowered = compiled.lower(start, meshes.put(batch(), mesh), np.float32(rate))
        texts.append(lowered.as_text())
    assert texts[0] == texts[1]


def test_dropout_draws_anew_at_every_step():
    start, function, mesh = setup(
        Network(dropout=0.5), optim__learning_rate=0.0, optim__weight_decay=0.0
    )
    losses = []
    for _ in range(2):
        start, metrics = function(start, meshes.put(batch(), mesh))
        losses.append(float(metrics["loss"]))
    assert losses[0] != losses[1]


def test_one_device_and_two_agree():
    one, first = train(parallel__devices=1)
    two, second = train(parallel__devices=2)
    close(one.params, two.params, 1e-5)
    close(one.batch_stats, two.batch_stats, 1e-5)
    close([m["loss"] for m in first], [m["loss"] for m in second], 1e-5)


def test_one_device_and_two_agree_to_the_last_digits_in_float64():
    with jax.enable_x64(True):
        network = Network(dtype=jnp.float64)
        one, _ = train(network=network, parallel__devices=1)
        two, _ = train(network=network, parallel__devices=2)
    assert one.params["stem"]["kernel"].dtype == np.float64
    close(one.params, two.params, 1e-12)
    close(one.batch_stats, two.batch_stats, 1e-12)


@pytest.mark.parametrize("devices", [1, 2])
def test_micro_batches_add_up_to_the_batch(devices):
    network = Network(batch_norm=False)
    whole, first = train(network=network, parallel__devices=devices)
    parts, second = train(network=network, parallel__devices=devices, train__accumulate=2)
    close(whole.params, parts.params, 2e-5)
    for name in ("loss", "top1", "top5", "grad_norm"):
        close([m[name] for m in first], [m[name] for m in second], 1e-5)


def test_micro_batches_are_the_same_on_one_device_and_two():
    one, _ = train(parallel__devices=1, train__accumulate=4)
    two, _ = train(parallel__devices=2, train__accumulate=4)
    close(one.params, two.params, 1e-5)
    close(one.batch_stats, two.batch_stats, 1e-5)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_groups_are_the_same_computation_in_any_number_of_parts_and_devices(accumulate):
    """Eight examples in groups of two, in float64: parts and devices change nothing."""
    with jax.enable_x64(True):
        network = Network(dtype=jnp.float64, group=2)
        shared = {"network": network, "model__bn_group": 2}
        one, first = train(**shared, parallel__devices=1)
        two, second = train(
            **shared, parallel__devices=2 if accumulate < 4 else 1, train__accumulate=accumulate
        )
    close(one.params, two.params, 1e-12)
    close(one.batch_stats, two.batch_stats, 1e-12)
    for name in ("loss", "top1", "top5", "grad_norm", "update_norm", "param_norm"):
        close([m[name] for m in first], [m[name] for m in second], 1e-6)


def test_a_group_has_statistics_of_its_own():
    whole, _ = train(1, network=Network())
    grouped, _ = train(1, network=Network(group=2), model__bn_group=2)
    difference = np.abs(whole.params["logits"]["kernel"] - grouped.params["logits"]["kernel"]).max()
    assert difference > 1e-4


def test_groups_that_a_part_cannot_hold_are_refused():
    with pytest.raises(errors.UserError, match=r"whole groups of model.bn_group 8 in each of"):
        config(model__bn_group=8, train__accumulate=2)


def test_pmap_agrees():
    """Two devices, each with a whole batch-norm group, written out for each device, in float64."""
    with jax.enable_x64(True):
        network, overrides = Network(dtype=jnp.float64, group=4), {"model__bn_group": 4}
        recipe = {"optim__name": "sgd", "optim__schedule": "constant", "optim__ema_decay": 0.9}
        cfg = config(**recipe, **overrides, parallel__devices=2)
        mesh = meshes.create(cfg)
        one = two = jax.device_get(state.create(network, cfg, SHAPE))
        by_jit, by_pmap = (make(network, cfg, mesh) for make in (step.train_step, step.pmap_step))
        one = jax.device_put(one, meshes.replicated(mesh))
        first = second = None
        for index in range(3):
            examples: Any = batch(seed=index)
            one, first = by_jit(one, meshes.put(examples, mesh), 0.05)
            two, second = by_pmap(two, examples, 0.05)
    close(jax.device_get(one), jax.device_get(two), 1e-12)
    close(jax.device_get(first), jax.device_get(second), 1e-6)


def test_norms_are_those_of_the_update_and_the_parameters():
    start, function, mesh = setup(optim__momentum=0.9)
    before = jax.tree.map(np.array, start.params)  # a copy: the state is given away
    after, metrics = function(start, meshes.put(batch(), mesh))
    now = jax.tree.map(np.array, after.params)
    leaves = list(zip(jax.tree.leaves(before), jax.tree.leaves(now), strict=True))
    moved = sum(float(((b - a).astype(np.float64) ** 2).sum()) for a, b in leaves)
    length = sum(float((np.asarray(b, np.float64) ** 2).sum()) for _, b in leaves)
    np.testing.assert_allclose(metrics["update_norm"], moved**0.5, rtol=1e-3)
    np.testing.assert_allclose(metrics["param_norm"], length**0.5, rtol=1e-5)


def test_colours_change_the_gradient_where_they_are_drawn():
    start, function, mesh = setup()
    examples = batch()
    draws = np.tile(np.array([0, 0.1, 1, 0, 1.3], np.float32), (8, 1))
    plain, _ = function(start, meshes.put(examples, mesh))
    start, _, _ = setup()
    changed, _ = function(start, meshes.put(examples | {"colour": draws}, mesh))
    assert state.digest(jax.device_get(plain)) != state.digest(jax.device_get(changed))


def test_averages_follow_tensorflows_warm_up():
    current, function, mesh = setup(optim__ema_decay=0.9999)
    wanted = jax.device_get(current.variables)
    for index in range(4):
        current, _ = function(current, meshes.put(batch(seed=index), mesh))
        decay = (1 + index + 1) / (10 + index + 1)  # after the update, as num_updates counts
        latest = jax.device_get(current.variables)
        wanted = jax.tree.map(lambda a, b, d=decay: d * a + (1 - d) * b, wanted, latest)
        close(jax.device_get(current.ema), wanted, 1e-5)


def test_the_averages_decay_is_limited_and_may_begin_there():
    limited = config(optim__ema_decay=0.999).optim
    assert step.ema_decay(limited, jnp.int32(100_000)) == jnp.float32(0.999)
    assert step.ema_decay(limited, jnp.int32(1)) == jnp.float32(2 / 11)
    cold = config(optim__ema_decay=0.999, optim__ema_warmup=False).optim
    assert step.ema_decay(cold, jnp.int32(1)) == jnp.float32(0.999)


def test_averages_may_leave_out_the_batch_statistics():
    both, _ = train(2, optim__ema_decay=0.9)
    one, _ = train(2, optim__ema_decay=0.9, optim__ema_batch_stats=False)
    close(one.ema["params"], both.ema["params"], 1e-6)
    assert state.digest(one.ema["batch_stats"]) == state.digest(one.batch_stats)
    assert state.digest(both.ema["batch_stats"]) != state.digest(both.batch_stats)


@pytest.mark.parametrize("branches", [True, False], ids=["cpu", "accelerator"])
def test_nothing_is_updated_from_a_step_on_that_is_not_finite(monkeypatch, branches):
    """The host sees it some steps later, and then needs the state that led to it."""
    monkeypatch.setattr(step.rules, "on_cpu", lambda lowering: branches)
    start, function, mesh = setup(optim__ema_decay=0.9)
    current, _ = function(start, meshes.put(batch(seed=0), mesh))
    before = jax.device_get(current)
    broken = batch(seed=1)
    broken["image"] = np.full(broken["image"].shape, np.nan, np.float32)
    current, metrics = function(current, meshes.put(broken, mesh))
    assert not np.isfinite(metrics["loss"])
    assert float(metrics["update_norm"]) == 0
    norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(before.params)))
    np.testing.assert_allclose(metrics["param_norm"], norm, rtol=1e-5)
    for seed in (2, 3):
        current, metrics = function(current, meshes.put(batch(seed=seed), mesh))
        assert np.isfinite(metrics["loss"])
    after = jax.device_get(current)
    assert int(after.step) == -2  # it was the second
    assert state.digest(after.replace(step=before.step)) == state.digest(before)


def test_training_lowers_the_loss():
    _, history = train(60)
    losses = [m["loss"] for m in history]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])


def test_a_nan_is_seen_in_the_leaves_it_reaches():
    current, function, mesh = setup(Network(batch_norm=False, auxiliary=False))
    params = jax.tree.map(np.array, jax.device_get(current.params))
    params["logits"]["bias"][0] = np.nan
    broken = jax.device_put(current.replace(params=params), meshes.replicated(mesh))
    _, metrics = function(broken, meshes.put(batch(), mesh))
    assert not np.isfinite(metrics["loss"])
    assert not metrics["leaf_finite"].all()


def test_metrics_count_the_right_answers():
    current, function, mesh = setup(Network(auxiliary=False, batch_norm=False))
    params = jax.tree.map(np.zeros_like, jax.device_get(current.params))
    params["logits"]["bias"] = np.arange(CLASSES, 0, -1, dtype=np.float32)  # always 0, 1, 2, ...
    fixed = jax.device_put(current.replace(params=params), meshes.replicated(mesh))
    examples = batch(16, seed=5)
    _, metrics = function(fixed, meshes.put(examples, mesh))
    np.testing.assert_allclose(metrics["top1"], (examples["label"] == 0).mean())
    np.testing.assert_allclose(metrics["top5"], (examples["label"] < 5).mean())

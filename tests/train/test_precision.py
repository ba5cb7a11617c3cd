"""The real network in bfloat16, with remat and in micro-batches, against plain float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import config as configs
from inception_jax import models
from inception_jax.train import mesh as meshes
from inception_jax.train import state, step

pytestmark = pytest.mark.slow
SHAPE = (16, 16, 3)


def train(**overrides):
    """(last state, losses) of four steps over the same 16 images."""
    recipe = {
        "model.width": 0.125, "model.dropout": 0.0, "model.bn_group": 4, "data.batch_size": 16,
        "data.eval_batch_size": 16, "optim.name": "rmsprop", "optim.epsilon": 1.0,
        "optim.ema_decay": 0.99, "optim.clip_norm": 2.0,
    }  # fmt: skip
    changed = {name.replace("__", "."): value for name, value in overrides.items()}
    config = configs.apply(configs.default(), recipe | changed)
    mesh = meshes.create(config)
    model = models.from_config(config.model, 10)
    now = state.create(model, config, SHAPE, sharding=meshes.replicated(mesh))
    function = step.train_step(model, config, mesh)
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), np.uint8)
    batch = {"image": images, "label": np.arange(16, dtype=np.int32) % 10}
    losses = []
    for _ in range(4):
        now, metrics = function(now, meshes.put(batch, mesh), np.float32(0.05))
        losses.append(float(metrics["loss"]))
    return jax.device_get(now), losses


@pytest.fixture(scope="module")
def plain():
    return train()


def test_bfloat16_keeps_master_weights_and_statistics_in_float32(plain):
    now, losses = train(model__dtype="bfloat16")
    kinds = {leaf.dtype for leaf in jax.tree.leaves((now.variables, now.ema, now.opt_state))}
    assert kinds == {
        leaf.dtype for leaf in jax.tree.leaves((plain[0].variables, plain[0].opt_state))
    }
    assert jnp.dtype("bfloat16") not in kinds
    assert losses[0] == pytest.approx(plain[1][0], rel=0.01)
    np.testing.assert_allclose(losses, plain[1], rtol=0.1)  # what rounding does grows by the step
    assert losses != plain[1]  # it was not float32 all along


def test_remat_in_micro_batches_is_the_same_training(plain):
    now, losses = train(model__remat=True, train__accumulate=2)
    np.testing.assert_allclose(losses, plain[1], rtol=1e-5)
    for name in ("params", "batch_stats", "ema"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5),
            getattr(now, name),
            getattr(plain[0], name),
        )

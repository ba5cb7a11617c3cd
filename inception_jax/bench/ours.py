"""The steps that a benchmark of this package takes: those of `inception-jax train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from inception_jax import cost, models
from inception_jax.bench import peak
from inception_jax.bench.setting import Setting
from inception_jax.train import mesh as meshes
from inception_jax.train import programs, result, state, step


def prepare(setting: Setting) -> Callable[[], None]:
    """A step of training or evaluation over one random batch that is there already.

    Evaluation has its batch norm folded into the weights.
    """
    config = setting.config
    model = models.from_config(config.model, setting.num_classes)
    mesh = meshes.create(config)
    same = meshes.replicated(mesh)
    shape = (config.data.image_size, config.data.image_size, setting.channels)
    rng = np.random.default_rng(0)
    count = config.data.batch_size
    examples = {
        "image": rng.integers(0, 256, (count, *shape), np.uint8),
        "label": rng.integers(0, setting.num_classes, count, np.int32),
    }
    batch = meshes.put(examples, mesh)
    now = state.create(model, config, shape, sharding=same)
    if setting.measure == "eval":
        folded, variables = models.fold_batch_norm(model, now.variables)
        forward, variables = step.eval_step(folded, mesh), jax.device_put(variables, same)
        return lambda: jax.block_until_ready(forward(variables, batch)) and None
    programs.enable()
    compiled = step.train_step(model, config, mesh)
    function = programs.kept(compiled, model, config, mesh, donate=True)
    rate = jax.device_put(np.float32(config.optim.learning_rate), same)

    def train() -> None:
        nonlocal now
        now, metrics = function(now, batch, rate)
        jax.block_until_ready(metrics)

    return train


def about() -> dict[str, Any]:
    """Versions and machine."""
    return {"versions": result.versions(), "machine": result.machine()}


def bound(setting: Setting) -> dict[str, float]:
    """Images a second if direct convolutions at the peak of matrix products were all there is."""
    config = setting.config
    model = models.from_config(config.model, setting.num_classes)
    macs = cost.count(model, config.data.image_size, setting.channels).macs
    flops = 2.0 * macs if setting.measure == "eval" else peak.training_flops(macs)
    reached = peak.matrix_product_peak(meshes.create(config), config.model.dtype)
    return {"at_peak": reached / flops}


def device_peak_bytes() -> int:
    """The most memory held on an accelerator; 0 on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)

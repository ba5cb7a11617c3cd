"""The steps that a benchmark of this package takes: those of `inception-jax train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from inception_jax import cost, models
from inception_jax.bench import peak
from inception_jax.bench.setting import Setting
from inception_jax.models import initial
from inception_jax.train import mesh as meshes
from inception_jax.train import programs, result, state, step
from inception_jax.train.programs import Recipe


class Program(NamedTuple):
    """A jitted step and its arguments; `carries` says that its first result is its next first."""

    function: Any
    arguments: tuple[Any, ...]
    carries: bool


def prepare(setting: Setting) -> Callable[[], None]:
    """A step of training or evaluation over one random batch that is there already."""
    programs.enable()
    program = create(setting, keep=True)
    return repeated(program, program.function)


def create(setting: Setting, *, keep: bool) -> Program:
    """The step; evaluation has its batch norm folded into the weights.

    Args:
        setting: whose.
        keep: whether a compiled step may be a kept one, which is no jitted function any more.
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

    def function(recipe: Recipe) -> Callable[..., Any]:
        if keep:
            return programs.kept(recipe, mesh, calls=programs.APART, early=True)
        return recipe.make(recipe.model, recipe.config, mesh)

    if setting.measure == "eval":
        images = jax.ShapeDtypeStruct((1, *shape), np.float32)
        variables = initial.variables(model.init, jax.random.key(config.seed), images)
        folded, variables = models.fold_batch_norm(model, jax.device_put(variables))
        forward = function(Recipe(step.evaluation, folded, config))
        return Program(forward, (jax.device_put(variables, same), batch), carries=False)
    training = function(Recipe(step.train_step, model, config, donate=True))
    now = state.create(model, config, shape, sharding=same)
    rate = jax.device_put(np.float32(config.optim.learning_rate), same)
    return Program(training, (now, batch, rate), carries=True)


def repeated(program: Program, function: Callable[..., Any]) -> Callable[[], None]:
    """A step from where the last one ended, by `function` in place of the program's own."""
    first, *others = program.arguments

    def run() -> None:
        nonlocal first
        found = function(first, *others)
        if program.carries:
            first, found = found
        jax.block_until_ready(found)

    return run


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

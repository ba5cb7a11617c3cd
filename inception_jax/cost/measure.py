"""How long a network takes on this machine, to set beside its MACs."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class StepTimes:
    """Median times of one compiled step on the default device.

    Attributes:
        batch_size: images a step.
        evaluate: s of a forward pass with running statistics.
        train: s of a training step: forward pass with the batch's statistics and dropout, gradient,
            update of parameters and statistics.
    """

    batch_size: int
    evaluate: float
    train: float


def step_seconds(
    model: nn.Module,
    image_size: int,
    channels: int = 3,
    *,
    batch_size: int = 8,
    repeats: int = 5,
    progress: Callable[[str], None] = lambda stage: None,
) -> StepTimes:
    """Times a step of evaluation and one of training on random images.

    The loss is the cross-entropy of logits and heads, the update plain gradient descent: what every
    optimizer has. `inception-jax bench` times whole runs' steps, input and all devices included.

    Args:
        model: a network that returns `models.Outputs`.
        image_size: side of the square image, px.
        channels: of the image.
        batch_size: images a step.
        repeats: steps timed, after one that is not.
        progress: is told what comes next, a few words.
    """
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.uniform(
        keys[0], (batch_size, image_size, image_size, channels), jnp.float32, -1.0, 1.0
    )
    labels = jnp.zeros((batch_size,), jnp.int32)
    variables: Any = model.init(keys[1], images)
    forward = jax.jit(lambda v, x: _apply(model, v, x).logits)
    progress("compiling evaluation")
    evaluate = _median(lambda v: (v, forward(v, images)), variables, repeats)
    # the state is given away and replaced, as in a run, so that nothing is copied
    step = jax.jit(lambda v: _train_step(model, v, images, labels, keys[2]), donate_argnums=0)
    progress("compiling training")
    return StepTimes(batch_size, evaluate, _median(step, variables, repeats))


def _apply(model: nn.Module, variables: Any, images: jax.Array, **kwargs: Any) -> Any:
    return model.apply(variables, images, **kwargs)


def _train_step(
    model: nn.Module, variables: Any, images: jax.Array, labels: jax.Array, key: jax.Array
) -> tuple[Any, jax.Array]:
    def loss(params: Any) -> tuple[jax.Array, Any]:
        outputs, changed = _apply(
            model, {**variables, "params": params}, images,
            train=True, mutable=["batch_stats"], rngs={"dropout": key},
        )  # fmt: skip
        terms = [_cross_entropy(logits, labels) for logits in (outputs.logits, *outputs.aux)]
        return jnp.stack(terms).sum(), changed

    (value, changed), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    params = jax.tree.map(lambda p, g: p - 1e-3 * g, variables["params"], gradient)
    return {"params": params, **changed}, value


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -chosen.mean()


def _median(step: Callable[[Any], tuple[Any, Any]], state: Any, repeats: int) -> float:
    """Median time of a step after the first, s; a step returns its next state and a result."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        state, result = jax.block_until_ready(step(state))
        del result
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])

"""Measured steps do what they say; how long they take is not tested."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inception_jax.cost import measure
from inception_jax.models.network import Outputs


class Tiny(nn.Module):
    """One of everything that a step moves: weights, batch norm, dropout, a head."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
        x = nn.Conv(4, (3, 3))(images)
        x = nn.BatchNorm(use_running_average=not train)(x).mean((1, 2))
        x = nn.Dropout(0.1, deterministic=not train)(x)
        return Outputs(nn.Dense(3)(x), (nn.Dense(3)(x),))


def test_times_and_what_comes_next():
    stages: list[str] = []
    times = measure.step_seconds(Tiny(), 8, 1, batch_size=2, repeats=3, progress=stages.append)
    assert times.batch_size == 2
    assert min(times.evaluate, times.train) > 0
    assert stages == ["compiling evaluation", "compiling training"]


def test_a_step_trains():
    model = Tiny()
    images = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    variables: Any = model.init(jax.random.key(0), images)
    labels = jnp.zeros(4, jnp.int32)
    step = jax.jit(lambda v: measure._train_step(model, v, images, labels, jax.random.key(2)))
    changed, loss = step(variables)
    assert jax.tree.structure(changed) == jax.tree.structure(variables)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), changed, variables)
    assert all(jax.tree.leaves(moved["batch_stats"]))
    assert all(moved["params"][f"Dense_{i}"]["kernel"] for i in (0, 1))
    assert float(step(changed)[1]) < float(loss)

"""Everything that one training step turns into the next: `TrainState`, its start and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import struct
from ml_collections import ConfigDict

from inception_jax.train import optimizer


class TrainState(struct.PyTreeNode):
    """The whole state of a run but for the position in the data, which the iterator keeps.

    Attributes:
        step: int32[], updates made so far; -t once step t was not finite, after which nothing is
            updated any more.
        params: trained parameters, float32.
        batch_stats: running means and variances of batch norm; {} for a network without.
        ema: averages {"params", "batch_stats"} of both, or None where they are off.
        opt_state: the optimizer's.
        rng: uint32[2], key data from which the key of every step is folded. It is data, so that
            every seed runs the same compiled program.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    ema: Any
    opt_state: optax.OptState
    rng: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def key_data(seed: int) -> np.ndarray:
    """The raw key uint32[2] of a seed."""
    return np.asarray(jax.random.key_data(jax.random.key(seed)))


def create(
    model: nn.Module,
    config: ConfigDict,
    image_shape: tuple[int, int, int],
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> TrainState:
    """The state before the first step, made by one compiled program for all seeds.

    Args:
        model: returns Outputs for images f32[N, H, W, C].
        config: `seed` is read, from which initial values and the keys of all steps follow, and
            `optim`; averages, where they are on, start at the initial values.
        image_shape: (H, W, C) of the network's input, px.
        sharding: where the state lives; None is the default device.
    """
    initial = compiled(model, config, image_shape, sharding=sharding)
    return initial(key_data(config.seed))


def compiled(
    model: nn.Module,
    config: ConfigDict,
    image_shape: tuple[int, int, int],
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Callable[[np.ndarray], TrainState]:
    """The program of `create`: key data of a seed -> the state, for those who start many runs."""
    return jax.jit(_initial(model, config, image_shape), out_shardings=sharding)


def shapes(model: nn.Module, config: ConfigDict, image_shape: tuple[int, int, int]) -> TrainState:
    """The shapes and types of what `create` gives, without computing it."""
    return jax.eval_shape(_initial(model, config, image_shape), key_data(config.seed))


def _initial(
    model: nn.Module, config: ConfigDict, image_shape: tuple[int, int, int]
) -> Callable[[jax.Array], TrainState]:
    """Key data -> the state before the first step."""
    images = jnp.zeros((1, *image_shape), jnp.float32)
    optim = optimizer.create(config.optim, lambda _: jnp.zeros(()))

    def initial(data: jax.Array) -> TrainState:
        init_key, step_key = jax.random.split(jax.random.wrap_key_data(data))
        variables = model.init(init_key, images)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        averages = {"params": params, "batch_stats": batch_stats}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=batch_stats,
            ema=jax.tree.map(jnp.copy, averages) if config.optim.ema_decay else None,
            opt_state=optim.init(params),
            rng=jax.random.key_data(step_key),
        )

    return initial


def leaf_names(tree: Any) -> list[str]:
    """Paths such as "Conv2d_1a/kernel" of a tree's leaves, in JAX's order."""
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(tree)
    ]


def forward_order(model: nn.Module, image_shape: tuple[int, int, int]) -> list[str]:
    """The parameters' paths in the order in which the forward pass first meets them."""
    order: list[str] = []

    def walk(tree: Any, prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}/")
            else:
                order.append(prefix + name)

    def trace(images: jax.Array) -> None:
        walk(model.init(jax.random.key(0), images)["params"], "")

    jax.eval_shape(trace, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    return order


def digest(tree: Any) -> str:
    """SHA-256 over the leaves in the order of their paths: path, type, shape and bytes of each."""
    total = hashlib.sha256()
    leaves = zip(leaf_names(tree), jax.tree.leaves(tree), strict=True)
    for name, leaf in sorted(leaves, key=lambda pair: pair[0]):
        array = np.ascontiguousarray(leaf)
        total.update(f"{name} {array.dtype.str} {np.shape(leaf)}\n".encode())
        total.update(array.data if array.size else b"")
    return total.hexdigest()

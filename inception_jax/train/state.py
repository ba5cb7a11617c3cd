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

from inception_jax.models import initial
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
    """The state before the first step.

    Drawn leaf by leaf on this machine: as one program, Inception-v3's would compile for as long as
    its training step. The values are the program's, bit for bit.

    Args:
        model: returns Outputs for images f32[N, H, W, C].
        config: `seed` is read, from which initial values and the keys of all steps follow, and
            `optim`; averages, where they are on, start at the initial values.
        image_shape: (H, W, C) of the network's input, px.
        sharding: where the state lives; None is the default device.
    """
    if jax.process_count() > 1:
        return compiled(model, config, image_shape, sharding=sharding)(key_data(config.seed))
    init_key, step_key = jax.random.split(jax.random.key(config.seed))
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    variables = initial.variables(model.init, init_key, images)
    found = _state(variables, jax.random.key_data(step_key), config, _opt_state)
    # each leaf in memory of its own, as the step that takes the state gives it away
    return jax.device_put(found, sharding, may_alias=False)


def compiled(
    model: nn.Module,
    config: ConfigDict,
    image_shape: tuple[int, int, int],
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Callable[[np.ndarray], TrainState]:
    """`create` as a program: key data of a seed -> the state, for those who start many runs."""
    return jax.jit(_initial(model, config, image_shape), out_shardings=sharding)


def shapes(model: nn.Module, config: ConfigDict, image_shape: tuple[int, int, int]) -> TrainState:
    """The shapes and types of what `create` gives, without computing it."""
    return jax.eval_shape(_initial(model, config, image_shape), key_data(config.seed))


def _initial(
    model: nn.Module, config: ConfigDict, image_shape: tuple[int, int, int]
) -> Callable[[jax.Array], TrainState]:
    """Key data -> the state before the first step."""
    images = jnp.zeros((1, *image_shape), jnp.float32)

    def create(data: jax.Array) -> TrainState:
        init_key, step_key = jax.random.split(jax.random.wrap_key_data(data))
        variables = model.init(init_key, images)
        start = _state(
            variables, jax.random.key_data(step_key), config, lambda optim, tree: optim.init(tree)
        )
        return start.replace(ema=jax.tree.map(jnp.copy, start.ema))

    return create


def _state(
    variables: Any,
    rng: jax.Array,
    config: ConfigDict,
    start: Callable[[optax.GradientTransformation, Any], Any],
) -> TrainState:
    """The state of a network's initial variables; `start` gives the optimizer's."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    optim = optimizer.create(config.optim, lambda _: jnp.zeros(()))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        ema={"params": params, "batch_stats": batch_stats} if config.optim.ema_decay else None,
        opt_state=start(optim, params),
        rng=rng,
    )


def _opt_state(optim: optax.GradientTransformation, params: Any) -> Any:
    """`optim.init(params)` without a program for each shape: every leaf begins as one number."""
    numbers = jax.device_get(optim.init(jax.tree.map(lambda leaf: leaf.dtype.type(0), params)))
    shapes = jax.eval_shape(optim.init, params)
    return jax.tree.map(lambda one, like: np.full(like.shape, one, like.dtype), numbers, shapes)


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

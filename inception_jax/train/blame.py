"""Where a loss or a gradient that is not finite came from: its step and the first layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.train import mesh as meshes
from inception_jax.train import state as states
from inception_jax.train import step as steps
from inception_jax.train.state import TrainState


class NotFinite(Exception):
    """A step whose loss or gradient is not finite.

    Attributes:
        step: its number, from 1.
        loss: of the step.
        leaves: bool[parameters], whose gradient is finite, in the order of `state.leaf_names`.
    """

    def __init__(self, step: int, loss: float, leaves: np.ndarray) -> None:
        super().__init__(step)
        self.step, self.loss, self.leaves = step, loss, leaves


class Blame:
    """Makes the one line that a run ends with."""

    def __init__(
        self,
        model: nn.Module,
        config: ConfigDict,
        image_shape: tuple[int, int, int],
        mesh: Mesh,
        last_good: Callable[[], str],
    ) -> None:
        """For a run of `model`, whose input is (H, W, C) px.

        Args:
            model: of the run.
            config: resolved.
            image_shape: of the network's input.
            mesh: over which batches are split.
            last_good: says where the newest checkpoint is.
        """
        self._model, self._config, self._mesh = model, config, mesh
        self._image_shape, self._last_good = image_shape, last_good

    def __call__(self, found: NotFinite, state: TrainState, batch: Any) -> errors.NonFiniteLoss:
        """The error that says it; runs the step's forward pass again.

        Args:
            found: what was seen.
            state: as the step left it, which is as it was before it (`step.update`).
            batch: the step's, on the mesh.
        """
        order = states.forward_order(self._model, self._image_shape)
        if np.isfinite(found.loss):
            what, where = "gradient is not finite", self._gradient(found, state, order)
        else:
            what, where = f"loss became {found.loss}", self._output(state, batch, order)
        return errors.NonFiniteLoss(
            f"{what} at step {found.step}, {where}; last good checkpoint: {self._last_good()}; "
            "lower optim.learning_rate or set optim.clip_norm",
            found.step,
        )

    def _gradient(self, found: NotFinite, state: TrainState, order: Sequence[str]) -> str:
        """The layer that the backward pass, which begins at the loss, meets first."""
        names = states.leaf_names(state.params)
        bad = {name for name, good in zip(names, found.leaves, strict=True) if not good}
        layer = layers(name for name in reversed(order) if name in bad)[0]
        return (
            f"first in that of {layer} as the backward pass goes ({len(bad)} of {len(names)} "
            "parameters have such a one)"
        )

    def _output(self, state: TrainState, batch: Any, order: Sequence[str]) -> str:
        """The layer that the forward pass meets first."""
        finite = jax.device_get(finite_outputs(self._model, self._config, self._mesh)(state, batch))
        bad = [layer for layer in layers(order) if not finite.get(layer, True)]
        if not bad:
            return "though the output of every layer is finite"
        return (
            f"first in the output of {bad[0]} as the forward pass goes ({len(bad)} of "
            f"{len(finite)} layers have such a one)"
        )


def layers(parameters: Iterable[str]) -> list[str]:
    """The layers that own parameters, given by path, each once and in that order."""
    return list(dict.fromkeys(str(PurePosixPath(name).parent) for name in parameters))


def finite_outputs(
    model: nn.Module, config: ConfigDict, mesh: Mesh
) -> Callable[[TrainState, Any], dict[str, jax.Array]]:
    """The compiled forward pass of a training step: (state, batch) -> layer -> bool[].

    The state is one that `step.update` has left alone: its step is negative. The layers are those
    with parameters of their own; False is an output that is not finite in some example.
    """
    count, group = config.train.accumulate, config.model.bn_group or 1

    def forward(state: TrainState, batch: Any, key: jax.Array) -> dict[str, jax.Array]:
        _, captured = model.apply(
            state.variables,
            steps.seen(batch, config),
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats", "intermediates"],
            capture_intermediates=lambda _, method: method == "__call__",
        )
        owners = set(layers(states.leaf_names(state.params)))
        return {layer: _finite(captured["intermediates"], layer) for layer in sorted(owners)}

    def whole(state: TrainState, batch: Any) -> dict[str, jax.Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.rng), -1 - state.step)
        if count == 1:
            return forward(state, batch, key)
        parts = (jnp.arange(count), steps.micro_batches(batch, count, group, mesh))
        each = jax.lax.map(
            lambda part: forward(state, part[1], jax.random.fold_in(key, part[0])), parts
        )
        return {layer: flags.all() for layer, flags in each.items()}

    same, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(whole, in_shardings=(same, split), out_shardings=same)


def _finite(captured: Any, layer: str) -> jax.Array:
    """Whether all outputs of a layer are finite; a layer that was not called counts as good."""
    for name in layer.split("/"):
        captured = captured.get(name, {})
    outputs = jax.tree.leaves(captured.get("__call__", ()))
    return jnp.all(jnp.asarray([jnp.isfinite(output).all() for output in outputs] or [True]))

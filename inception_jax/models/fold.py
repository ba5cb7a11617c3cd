"""Batch norm folded into the weights, for evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from inception_jax.models.network import InceptionNetwork


def fold_batch_norm(model: InceptionNetwork, variables: Any) -> tuple[InceptionNetwork, Any]:
    """The same function of an image as the model in evaluation, with no batch norm left in it.

    Every kernel is multiplied by its layer's scale / sqrt(var + epsilon), and what the running
    mean takes off goes into the bias. Logits and auxiliary logits agree to rounding.

    Args:
        model: a network; one without batch norm comes back as it is.
        variables: its {"params", "batch_stats"}, arrays or tracers.

    Returns:
        The network with biases in place of batch norm, and its {"params"}. It is for evaluation:
        training it would be training another network.
    """
    if not model.network.batch_norm:
        return model, variables
    fold = jax.jit(_fold, static_argnums=2)  # one program, not one for every shape
    folded = fold(variables["params"], variables.get("batch_stats", {}), model.options.bn_epsilon)
    network = dataclasses.replace(model.network, batch_norm=False)
    return model.clone(network=network), {"params": folded}


def _fold(params: Mapping[str, Any], stats: Mapping[str, Any], epsilon: float) -> dict[str, Any]:
    if isinstance(stats.get("mean"), jax.Array):
        return _fold_layer(params, stats, epsilon)
    return {
        name: _fold(value, stats.get(name, {}), epsilon) if isinstance(value, Mapping) else value
        for name, value in params.items()
    }


def _fold_layer(
    params: Mapping[str, jax.Array], stats: Mapping[str, jax.Array], epsilon: float
) -> dict[str, jax.Array]:
    """Kernel and bias of a convolution f32[h, w, C, F] followed by batch norm f32[F]."""
    factor = lax.rsqrt(stats["var"] + epsilon)
    factor = factor * params["scale"] if "scale" in params else factor
    kernel = params["kernel"] * jnp.expand_dims(factor, range(params["kernel"].ndim - 1))
    return {"kernel": kernel, "bias": params["bias"] - stats["mean"] * factor}

"""Our variables as another framework's tensors, and images as its weights expect them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from inception_jax import errors
from inception_jax.models import plan
from inception_jax.models.network import InceptionNetwork
from inception_jax.weights import rules, slots
from inception_jax.weights.load import Imported, log
from inception_jax.weights.rules import Rules


def export(
    source: str, model: InceptionNetwork, variables: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Our variables as a source's tensors by name, with the bits that `load` was given.

    torch's counters of batches, which nothing reads, are 0; where only the source has gamma of
    batch norm, it is 1. Rules that still part (padding count, epsilon) are logged as a warning.

    Args:
        source: a name of `rules.SOURCES`.
        model: one that `load` gave, or one with the same parameters.
        variables: {"params", "batch_stats"}.

    Raises:
        UsageError: the source has no such network.
        UserError: the network has other parameters than the source's.
    """
    chosen = rules.find(source, model.network_name)
    tensors: dict[str, np.ndarray] = {}
    for slot in slots.of(chosen, model):
        if slot.role == "counter":
            tensors[slot.theirs] = np.zeros((), np.int64)
            continue
        value = slots.get(variables, slot.path)
        if value is None and slot.path[-1] == "scale":
            value = np.ones_like(slots.get(variables, (*slot.path[:-1], "bias")))
        if value is None:
            raise errors.UserError(
                f"{chosen.title} needs {slot.theirs}, but the network has no "
                f"{'/'.join(slot.path[1:])}"
            )
        array = np.asarray(value)
        if slot.role == "folded":
            tensors[slot.theirs] = np.zeros_like(array)
        else:
            tensors[slot.theirs] = np.asarray(slots.LAYOUTS[slot.layout][1](array), order="C")
    if model.options.bn_scale and not chosen.layout.scale:
        raise errors.UserError(
            f"{chosen.title} has no gamma of batch norm; only a network with bn_scale=False "
            "can be exported to it"
        )
    for site in model.options.aux.sites:
        if site not in chosen.heads:
            log.warning("%s has no auxiliary head at %s: left out", chosen.title, site)
    for name in ("count_include_pad", "bn_epsilon", "strided_padding"):
        ours, theirs = getattr(model.options, name), chosen.options.get(name)
        if theirs is not None and ours != theirs:
            log.warning("%s has %s=%s, this network %s", chosen.title, name, theirs, ours)
    return tensors


def adapt_images(images: Any, chosen: Rules) -> Any:
    """Images f32[N, H, W, 3], RGB in [-1, 1], as the source's weights expect them."""
    if chosen.input.is_ours:
        return images
    mean, std = (
        np.array(values, np.float32).reshape(1, 1, 1, 3)
        for values in (chosen.input.mean, chosen.input.std)
    )
    ordered = images[..., ::-1] if chosen.input.channels == "BGR" else images
    return ((ordered + 1.0) / 2.0 - mean) / std


def fold_input(imported: Imported) -> Imported:
    """The same network for images in [-1, 1]: the source's scaling goes into the first layer.

    Exact where the first convolution has no padding (`inception_v3`); elsewhere the padding, which
    stays 0, stands for another colour than in the source.
    """
    chosen, model = imported.rules, imported.model
    if chosen.input.is_ours:
        return imported
    node = plan.build(model.network, model.options, 3)[0]
    first, step = node.name, cast(plan.ConvUnit, cast(plan.Single, node).step)
    mean, std = np.array(chosen.input.mean), np.array(chosen.input.std)
    kernel = np.asarray(imported.variables["params"][first]["kernel"], np.float64)
    scaled = kernel * (0.5 / std).reshape(1, 1, 3, 1)
    shift = (kernel * ((0.5 - mean) / std).reshape(1, 1, 3, 1)).sum(axis=(0, 1, 2))
    if chosen.input.channels == "BGR":
        scaled = scaled[:, :, ::-1]
    stats = imported.variables["batch_stats"][first]
    moved = np.asarray(stats["mean"], np.float64) - shift
    variables = {
        "params": {
            **imported.variables["params"],
            first: {**imported.variables["params"][first], "kernel": scaled.astype(np.float32)},
        },
        "batch_stats": {
            **imported.variables["batch_stats"],
            first: {**stats, "mean": moved.astype(np.float32)},
        },
    }
    note = f"the scaling of {chosen.input} is folded into {first}: images in [-1, 1]"
    if step.padding != "VALID":
        note += "; its padding stands for another colour than in the source"
    return dataclasses.replace(imported, variables=variables, notes=(*imported.notes, note))

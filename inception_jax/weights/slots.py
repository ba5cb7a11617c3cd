"""Where every tensor of a source belongs in a network's variables, and how it is laid out there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.models import plan
from inception_jax.models.network import InceptionNetwork
from inception_jax.weights.rules import Rules

Array = np.ndarray


def _flat_to_ours(kernel: Array) -> Array:
    """[out, (C, H, W)] -> [(H, W, C), out]: a dense layer over a flattened 128-channel grid."""
    side = math.isqrt(kernel.shape[1] // 128)
    grid = kernel.reshape(kernel.shape[0], 128, side, side)
    return grid.transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])


def _flat_to_theirs(kernel: Array) -> Array:
    side = math.isqrt(kernel.shape[0] // 128)
    grid = kernel.reshape(side, side, 128, kernel.shape[1])
    return grid.transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)


# name -> (theirs to ours, ours to theirs)
LAYOUTS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "same": (lambda a: a, lambda a: a),
    "oihw": (lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1)),
    "transposed": (lambda a: a.T, lambda a: a.T),
    "conv1x1": (lambda a: a[0, 0], lambda a: a[None, None]),
    "flattened": (_flat_to_ours, _flat_to_theirs),
}


@dataclasses.dataclass(frozen=True)
class Slot:
    """One tensor of a source.

    Attributes:
        theirs: its name there.
        path: collection, modules and leaf in our variables; for a counter, just its module.
        layout: a name of `LAYOUTS`.
        role: "weight"; "classifier" (its last axis is classes); "counter" (need not be there);
            "folded" (a bias that is subtracted from the mean at `path`).
    """

    theirs: str
    path: tuple[str, ...]
    layout: str = "same"
    role: str = "weight"

    @property
    def of_head(self) -> bool:
        """Whether it belongs to an auxiliary head."""
        return len(self.path) > 1 and self.path[1].startswith("AuxLogits_")


def to_ours(slot: Slot, array: Array) -> Array | None:
    """A source's tensor in our layout; None where it has not the form for that."""
    dimensions = {"oihw": 4, "conv1x1": 4, "transposed": 2, "flattened": 2}
    if slot.layout in dimensions and array.ndim != dimensions[slot.layout]:
        return None
    if slot.layout == "flattened" and array.shape[1] % 128:
        return None
    return LAYOUTS[slot.layout][0](array)


def of(rules: Rules, model: InceptionNetwork) -> list[Slot]:
    """The tensors of a source that a network is made of, in the network's order.

    Raises:
        UserError: the network is not the one that the source's names are for.
    """
    layers = list(_layers(rules, model))
    return [slot for path, name, kind in layers for slot in _slots(rules, path, name, kind)]


def _layers(rules: Rules, model: InceptionNetwork) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Module's path, the source's name, and what it is: "conv", "dense", "flat" or "fc"."""
    for node in plan.build(model.network, model.options, 3):
        paths = list(_modules(node))
        theirs = rules.layers.get(node.name, ())
        if len(paths) != len(theirs):
            raise errors.UserError(
                f"{rules.title} has {len(theirs)} convolutions at {node.name}, the network "
                f"{len(paths)}; weights load into the network as published, without factorization"
            )
        yield from ((path, name, "conv") for path, name in zip(paths, theirs, strict=True))
    for site in model.options.aux.sites:
        module = f"AuxLogits_{site}"
        if module not in rules.layers:
            continue  # a head that only we have
        first, second, last = rules.layers[module]
        dense = model.network.aux.dense
        yield (module, "conv0"), first, "conv"
        yield (module, "fc1" if dense else "conv1"), second, "flat" if dense else "conv"
        yield (module, "fc"), last, "fc"
    yield ("Logits",), rules.layers["Logits"][0], "fc"


def _modules(node: plan.Node) -> Iterator[tuple[str, ...]]:
    if isinstance(node, plan.Single):
        if isinstance(node.step, plan.ConvUnit):
            yield (node.name,)
        return
    for branch in node.branches:
        for step in branch:
            units = step.units if isinstance(step, plan.Fork) else (step,)
            for unit in units:
                if isinstance(unit, plan.ConvUnit):
                    yield node.name, unit.name


def _slots(rules: Rules, path: tuple[str, ...], name: str, kind: str) -> Iterator[Slot]:
    layout = rules.layout
    if kind != "conv":
        matrix = "transposed" if layout.oihw else "conv1x1" if layout.dense_is_conv else "same"
        role = "classifier" if kind == "fc" else "weight"
        kernel = "flattened" if kind == "flat" else matrix
        yield Slot(layout.dense_kernel.format(name), ("params", *path, "kernel"), kernel, role)
        yield Slot(layout.dense_bias.format(name), ("params", *path, "bias"), role=role)
        return
    kernel = "oihw" if layout.oihw else "same"
    yield Slot(layout.kernel.format(name), ("params", *path, "kernel"), kernel)
    if layout.scale:
        yield Slot(layout.scale.format(name), ("params", *path, "scale"))
    yield Slot(layout.bias.format(name), ("params", *path, "bias"))
    yield Slot(layout.mean.format(name), ("batch_stats", *path, "mean"))
    yield Slot(layout.var.format(name), ("batch_stats", *path, "var"))
    if layout.conv_bias:
        mean = ("batch_stats", *path, "mean")
        yield Slot(layout.conv_bias.format(name), mean, role="folded")
    if layout.counter:
        yield Slot(layout.counter.format(name), ("counters", *path), role="counter")


def get(tree: Any, path: tuple[str, ...]) -> Any:
    """The leaf at a path; None where there is none."""
    for name in path:
        if not hasattr(tree, "get") or name not in tree:
            return None
        tree = tree[name]
    return tree


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Sets the leaf at a path."""
    *groups, leaf = path
    for name in groups:
        tree = tree.setdefault(name, {})
    tree[leaf] = value

"""Parameters, MACs, depth and receptive field of any Linen module that maps images to outputs."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inception_jax.cost import trace


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One module of the network that owns parameters or multiplies.

    Attributes:
        name: path of the module, as in its parameters.
        output: shape of what its last convolution or product gives, for one image.
        params: trainable parameters.
        macs: multiply-adds for one image.
    """

    name: str
    output: tuple[int, ...]
    params: int
    macs: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one forward pass of one image.

    Attributes:
        params: trainable parameters; running statistics are not among them.
        macs: multiply-adds of convolutions and dense layers, those of auxiliary heads among them.
        depth: convolutions and dense layers on the longest path from image to logits.
        receptive_field: side of the input region that one position of the last convolution on the
            way to the logits sees, px; it may exceed the image.
        layers: in the order of the program.
    """

    params: int
    macs: int
    depth: int
    receptive_field: int
    layers: tuple[LayerCost, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 a MAC."""
        return 2 * self.macs

    def blocks(self) -> tuple[LayerCost, ...]:
        """The layers summed over the first component of their path."""
        grouped: dict[str, list[LayerCost]] = defaultdict(list)
        for layer in self.layers:
            grouped[layer.name.split("/")[0]].append(layer)
        return tuple(
            LayerCost(
                name, layers[-1].output, sum(x.params for x in layers), sum(x.macs for x in layers)
            )
            for name, layers in grouped.items()
        )


def count(model: nn.Module, image_size: int, channels: int = 3) -> Cost:
    """Counts the cost of a network from its traced program; nothing is computed or allocated.

    Args:
        model: a Linen module called with images f32[N, H, W, C], whose first output is the logits.
        image_size: side of the square image, px.
        channels: of the image.

    Raises:
        UserError: the image is too small for the network.
    """
    model = _plain(model)
    images = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    # one trace gives the forward pass and the shapes of the parameters
    traced = jax.make_jaxpr(lambda k, x: model.init_with_output(k, x), return_shape=True)
    closed, (_, variables) = traced(key, images)
    products, logits = trace.read(closed.jaxpr, images=len(closed.jaxpr.invars) - 1)
    layers = _layers(variables["params"], products)
    return Cost(
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        depth=logits.depth,
        receptive_field=max(logits.field),
        layers=layers,
    )


def _plain(model: nn.Module) -> nn.Module:
    """The model lowered to plain convolutions, which is what the count is about."""
    options = getattr(model, "options", None)
    if options is None or not hasattr(options, "ops"):
        return model
    return model.clone(options=dataclasses.replace(options, ops="xla", dtype="float32"))


def _layers(params: Any, products: Iterable[trace.Product]) -> tuple[LayerCost, ...]:
    sizes: dict[str, int] = defaultdict(int)
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        sizes["/".join(str(p.key) for p in path[:-1])] += math.prod(leaf.shape)
    macs: dict[str, int] = defaultdict(int)
    outputs: dict[str, tuple[int, ...]] = {}
    for product in products:
        macs[product.module] += product.macs
        outputs[product.module] = product.output
    names = [*macs, *(name for name in sizes if name not in macs)]
    return tuple(
        LayerCost(name, outputs.get(name, ()), sizes.get(name, 0), macs.get(name, 0))
        for name in names
    )

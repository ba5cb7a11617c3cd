"""From a table and options to primitive layers: every kernel, stride and filter count decided."""

from __future__ import annotations

import dataclasses
import functools
import string
from collections.abc import Iterator, Mapping
from typing import Literal

from inception_jax import errors
from inception_jax.models import factorization
from inception_jax.models.options import Factorize, Options
from inception_jax.models.spec import Block, Conv, Entry, Layer, Named, Network, Norm, Padding, Pool


@dataclasses.dataclass(frozen=True)
class ConvUnit:
    """One primitive convolution with its normalisation and activation.

    Attributes:
        late: an even kernel's odd pixel of "SAME" padding goes before the image, not after it.
        relu: else linear.
        norm: "batch" (the network's own normalisation), "bias" or "none".
        depthwise: every input channel has kernels of its own.
    """

    name: str
    kernel: tuple[int, int]
    filters: int
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    late: bool = False
    relu: bool = True
    norm: Literal["batch", "bias", "none"] = "batch"
    depthwise: bool = False


@dataclasses.dataclass(frozen=True)
class Fork:
    """Two convolutions over one input, concatenated: the expanded bank of Fig. 7."""

    units: tuple[ConvUnit, ...]


Step = ConvUnit | Fork | Pool | Norm


@dataclasses.dataclass(frozen=True)
class Branches:
    """A block: branches over one input, concatenated over channels."""

    name: str
    branches: tuple[tuple[Step, ...], ...]


@dataclasses.dataclass(frozen=True)
class Single:
    """One step outside the blocks, under its own name."""

    name: str
    step: Step


Node = Single | Branches


@functools.lru_cache(maxsize=256)
def build(network: Network, options: Options, channels: int) -> tuple[Node, ...]:
    """The primitive layers of a network.

    Args:
        network: the table.
        options: what was chosen about it.
        channels: of the input image.

    Raises:
        UsageError: a stem or a body that the table does not have.
        UserError: a factorization that does not apply.
    """
    nodes: list[Node] = []
    for entry in entries(network, options):
        for planned in _plan_entry(entry, options, channels):
            node = _as_torch(planned) if options.strided_padding == "torch" else planned
            nodes.append(node)
            channels = out_channels(node, channels)
    return tuple(nodes)


def entries(network: Network, options: Options) -> Iterator[Entry]:
    """The table's entries with stem, body, first stride and first pooling as chosen."""
    first, *rest = _chosen("stem", options.stem, network.stems)
    if options.stem_stride and isinstance(first, Named) and isinstance(first.layer, Conv):
        layer = dataclasses.replace(first.layer, stride=options.stem_stride)
        first = dataclasses.replace(first, layer=layer)
    dropped = options.stem_pool
    for entry in (first, *rest, *_chosen("body", options.body, network.bodies)):
        if not dropped and isinstance(entry, Named) and isinstance(entry.layer, Pool):
            dropped = True
            continue
        yield entry


def _chosen(kind: str, name: str, known: Mapping[str, tuple[Entry, ...]]) -> tuple[Entry, ...]:
    name = name or next(iter(known))
    if name not in known:
        raise errors.unknown(kind, name, known)
    return known[name]


def _as_torch(node: Node) -> Node:
    """The node with torch's padding where "SAME" meets a stride."""

    def change(step: Step) -> Step:
        if isinstance(step, ConvUnit) and step.padding == "SAME" and max(step.strides) > 1:
            return dataclasses.replace(step, padding="SYMMETRIC")
        if isinstance(step, Pool) and step.padding == "SAME" and step.stride > 1:
            return dataclasses.replace(step, padding="CEIL")
        return step

    if isinstance(node, Single):
        return Single(node.name, change(node.step))
    return Branches(node.name, tuple(tuple(map(change, branch)) for branch in node.branches))


def _plan_entry(entry: Entry, options: Options, channels: int) -> Iterator[Node]:
    if isinstance(entry, Named):
        steps = _plan_layer(entry.layer, entry.site, "", options, channels)
        for letter, step in zip(_suffixes(len(steps)), steps, strict=True):
            name = entry.name + ("_" + letter if letter else "")
            yield Single(name, _renamed(step, name))
        return
    block, pool = entry, None
    if entry.site == "reduction" and options.grid_reduction != "parallel":
        block, pool = _bottleneck(entry, options, channels)
    pooled = [Single(f"{entry.name}_pool", pool)] if pool else []
    if options.grid_reduction == "pool_conv":
        yield from pooled
    branches = (
        _plan_branch(branch, i, block.site, options, channels)
        for i, branch in enumerate(block.branches)
    )
    yield Branches(block.name, tuple(branches))
    if options.grid_reduction == "conv_pool":
        yield from pooled


def _bottleneck(block: Block, options: Options, channels: int) -> tuple[Block, Pool]:
    """A parallel reduction as an Inception module at one grid and a pooling (Fig. 9).

    The module has the reduction's convolutions at stride 1 and a 1x1 convolution where the pool
    branch passed its input through, so all three forms have the same output.
    """
    pool = next(branch[0] for branch in block.branches if isinstance(branch[0], Pool))
    # the width multiplier applies to planned filters; the pass-through count is already scaled
    bridge = Conv(max(1, round(channels / options.width)))

    def at_stride_1(layer: Layer) -> Layer:
        if isinstance(layer, Conv):
            return dataclasses.replace(layer, stride=1, padding="SAME")
        return layer

    branches = tuple(
        (bridge,) if isinstance(branch[0], Pool) else tuple(map(at_stride_1, branch))
        for branch in block.branches
    )
    return dataclasses.replace(block, branches=branches), pool


def _plan_branch(
    branch: tuple[Layer, ...], index: int, site: str, options: Options, channels: int
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for i, layer in enumerate(branch):
        planned = _plan_layer(layer, site, f"branch{index}_conv{i}", options, channels)
        steps.extend(planned)
        for step in planned:
            channels = _step_channels(step, channels)
    return tuple(steps)


def _plan_layer(
    layer: Layer, site: str, name: str, options: Options, channels: int
) -> tuple[Step, ...]:
    if not isinstance(layer, Conv):
        return (layer,)

    def scaled(filters: int) -> int:
        return max(1, round(filters * options.width))

    if site == "grid17" and layer.kernel == 7 and options.grid17_kernel:
        layer = dataclasses.replace(layer, kernel=options.grid17_kernel)
    choice: Factorize = getattr(options.factorization, site)
    chosen = layer.kernel >= choice.min_kernel
    n = choice.kernel if chosen and choice.kernel else layer.kernel
    if layer.expand and options.expanded:
        kernels = ((1, n), (n, 1))
        units = (
            ConvUnit(name + c, k, scaled(layer.filters)) for c, k in zip("ab", kernels, strict=True)
        )
        return (Fork(tuple(units)),)
    filters = layer.filters
    if layer.expand:
        # plain bank at the expanded one's cost: n * n * f = 2 * n * filters
        filters = round(2 * layer.filters / n)
    if layer.multiplier:
        return _separable(layer, name, channels, scaled(filters))
    if n == 1:
        return (
            ConvUnit(name, (1, 1), scaled(filters), (layer.stride, layer.stride), layer.padding),
        )
    mid = {
        "table": scaled(layer.mid or filters),
        "out": scaled(filters),
        "geometric": factorization.geometric_mid(channels, scaled(filters)),
    }[choice.mid_filters if chosen else "table"]
    chain = factorization.factorize(
        choice.strategy if chosen and choice.strategy else layer.strategy,
        n,
        scaled(filters),
        mid=mid,
        stride=layer.stride,
        tall_first=layer.tall_first,
    )
    linear = chosen and choice.activation == "linear"
    last = len(chain) - 1
    return tuple(
        ConvUnit(
            name=name + letter,
            kernel=factor.kernel,
            filters=factor.filters,
            strides=factor.strides,
            padding=layer.padding,
            late=i % 2 == 1,
            relu=i == last or not linear,
        )
        for i, (letter, factor) in enumerate(zip(_suffixes(len(chain)), chain, strict=True))
    )


def _separable(layer: Conv, name: str, channels: int, filters: int) -> tuple[Step, ...]:
    """A depthwise convolution and the 1x1 over its outputs; only the latter has bias and ReLU."""
    depthwise = ConvUnit(
        name=name + "a",
        kernel=(layer.kernel, layer.kernel),
        filters=channels * layer.multiplier,
        strides=(layer.stride, layer.stride),
        padding=layer.padding,
        relu=False,
        norm="none",
        depthwise=True,
    )
    return depthwise, ConvUnit(name + "b", (1, 1), filters, norm="bias")


def _suffixes(count: int) -> list[str]:
    """Letters for the factors of a chain; none where there is one, so that names stay shared."""
    return [""] if count == 1 else list(string.ascii_lowercase[:count])


def _renamed(step: Step, name: str) -> Step:
    return dataclasses.replace(step, name=name) if isinstance(step, ConvUnit) else step


def _step_channels(step: Step, channels: int) -> int:
    if isinstance(step, ConvUnit):
        return step.filters
    if isinstance(step, Fork):
        return sum(unit.filters for unit in step.units)
    return channels


def out_channels(node: Node, channels: int) -> int:
    """Channels after a node, from those before it."""
    if isinstance(node, Single):
        return _step_channels(node.step, channels)
    return sum(
        functools.reduce(lambda c, s: _step_channels(s, c), b, channels) for b in node.branches
    )

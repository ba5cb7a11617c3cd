"""The words in which a network is written down as data: convolutions, poolings, blocks.

A table holds what the paper's tables hold: square convolutions, before any factorization.
`models.plan` turns a table and options into primitive layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

# "SAME" keeps ceil(size / stride) as TensorFlow does. What torch does at stride 2 instead:
# "SYMMETRIC" pads a convolution alike on both sides, "CEIL" pads a pooling after the image only.
Padding = Literal["SAME", "VALID", "SYMMETRIC", "CEIL"]


@dataclasses.dataclass(frozen=True)
class Conv:
    """A kernel x kernel convolution with batch norm and ReLU.

    Attributes:
        filters: output channels.
        kernel: side of the square kernel.
        stride: in both directions.
        strategy: how the released or printed network factorizes it.
        mid: filters between the factors; 0 is `filters`.
        tall_first: an asymmetric factorization begins with n x 1, not 1 x n.
        expand: 1 x n beside n x 1, concatenated (Fig. 7), each with `filters`.
        multiplier: of a separable convolution: this many kernels of its own for every input
            channel, then 1 x 1 to `filters` with a bias and no batch norm (BN-Inception's stem).
            No strategy factorizes it. 0 is an ordinary convolution.
    """

    filters: int
    kernel: int = 1
    stride: int = 1
    padding: Padding = "SAME"
    strategy: str = "direct"
    mid: int = 0
    tall_first: bool = False
    expand: bool = False
    multiplier: int = 0


@dataclasses.dataclass(frozen=True)
class Pool:
    """A pooling of size x size. Stride 1 keeps the grid."""

    kind: Literal["max", "avg"]
    size: int = 3
    stride: int = 1
    padding: Padding = "SAME"


@dataclasses.dataclass(frozen=True)
class Norm:
    """Local response normalisation over channels (GoogLeNet; Caffe's values)."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75


Layer = Conv | Pool | Norm


@dataclasses.dataclass(frozen=True)
class Named:
    """One layer of the stem, or a pooling between blocks."""

    name: str
    layer: Layer
    site: str = "stem"


@dataclasses.dataclass(frozen=True)
class Block:
    """Branches over one input, concatenated over channels in the order written.

    A block whose `site` is "reduction" halves the grid: its pool branch passes the input through,
    and `models.plan` can rewrite it into the two forms of Fig. 9.
    """

    name: str
    site: str
    branches: tuple[tuple[Layer, ...], ...]


Entry = Named | Block


@dataclasses.dataclass(frozen=True)
class AuxSpec:
    """An auxiliary head: average pooling, 1x1 convolution, then a layer that sees the whole grid.

    Attributes:
        reduce: filters of the 1x1 convolution.
        features: width of the layer before the classifier.
        dense: that layer is fully connected with dropout (GoogLeNet), not a convolution.
    """

    reduce: int = 128
    features: int = 768
    dense: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network as printed. Equal only to itself: the order of its stems and bodies counts.

    Attributes:
        stems: the network's stems by name; the first is its own.
        bodies: blocks and the poolings between them, by name where the sources part; the first is
            the network's own.
        image_size: side of the input that the paper used, px.
        aux_sites: blocks that carry a head where the network is trained as printed.
        batch_norm: else every convolution has a bias and no batch norm.
    """

    stems: Mapping[str, tuple[Entry, ...]]
    bodies: Mapping[str, tuple[Entry, ...]]
    image_size: int
    aux: AuxSpec = AuxSpec()
    aux_sites: tuple[str, ...] = ()
    batch_norm: bool = True

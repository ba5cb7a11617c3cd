"""BN-Inception (arXiv 1502.03167, Figure 5): GoogLeNet with batch norm and two 3x3 for each 5x5.

TF-slim calls it `inception_v2`; it is not the Inception-v2 of the Rethinking paper. Its modules 3c
and 4e are parallel grid reductions, before the paper that named them. What is open:

* body "pool96" (default): the pool projections of 4c and 4d have 96 filters, TF-slim's, so that
  both modules have the 576 channels that the paper prints. "pool128" has the 128 that the paper
  prints beside them, hence 608 channels: the Caffe and PyTorch ports.
* stem "conv7x7" (default): an ordinary 7x7, as the ports have. "separable7x7" is the paper's and
  TF-slim's: depthwise with multiplier 8, then 1x1 with a bias and no batch norm.
* the paper tells of no auxiliary head for this network, and no port has one; asked for, it is
  GoogLeNet's, on 4a and 4d.

The grids of 28, 14 and 7 px take the factorization of the sites grid35, grid17 and grid8. The
double 3x3 are written as the 5x5 that they replace, so that `direct` restores it.
"""

from __future__ import annotations

from typing import Literal

from inception_jax.models.spec import AuxSpec, Block, Conv, Entry, Named, Network, Pool


def _double(filters: int, stride: int = 1) -> Conv:
    """A 5x5 as two 3x3, the second with the stride."""
    return Conv(filters, 5, stride=stride, strategy="stacked_3x3")


def _module(
    name: str, site: str, widths: tuple[int, ...], pool: int, kind: Literal["max", "avg"] = "avg"
) -> Block:
    """1x1 | 3x3 | double 3x3 | pool, with `widths` of all but the pool projection."""
    one, reduce3, three, reduce5, five = widths
    branches = (
        (Conv(one),),
        (Conv(reduce3), Conv(three, 3)),
        (Conv(reduce5), _double(five)),
        (Pool(kind), Conv(pool)),
    )
    return Block(name, site, branches)


def _reduction(name: str, widths: tuple[int, ...]) -> Block:
    """3x3 | double 3x3 | pool, all at stride 2; the pool passes its input on."""
    reduce3, three, reduce5, five = widths
    branches = (
        (Conv(reduce3), Conv(three, 3, stride=2)),
        (Conv(reduce5), _double(five, stride=2)),
        (Pool("max", stride=2),),
    )
    return Block(name, "reduction", branches)


def _body(pool_4cd: int) -> tuple[Entry, ...]:
    return (
        _module("Inception_3a", "grid35", (64, 64, 64, 64, 96), 32),
        _module("Inception_3b", "grid35", (64, 64, 96, 64, 96), 64),
        _reduction("Inception_3c", (128, 160, 64, 96)),
        _module("Inception_4a", "grid17", (224, 64, 96, 96, 128), 128),
        _module("Inception_4b", "grid17", (192, 96, 128, 96, 128), 128),
        _module("Inception_4c", "grid17", (160, 128, 160, 128, 160), pool_4cd),
        _module("Inception_4d", "grid17", (96, 128, 192, 160, 192), pool_4cd),
        _reduction("Inception_4e", (128, 192, 192, 256)),
        _module("Inception_5a", "grid8", (352, 192, 320, 160, 224), 128),
        _module("Inception_5b", "grid8", (352, 192, 320, 192, 224), 128, kind="max"),
    )


_AFTER_7X7: tuple[Entry, ...] = (
    Named("MaxPool_1", Pool("max", stride=2)),
    Named("Conv2d_2_1x1", Conv(64)),
    Named("Conv2d_2_3x3", Conv(192, 3)),
    Named("MaxPool_2", Pool("max", stride=2)),
)

BN_INCEPTION = Network(
    stems={
        "conv7x7": (Named("Conv2d_1_7x7", Conv(64, 7, stride=2)), *_AFTER_7X7),
        "separable7x7": (Named("Conv2d_1_7x7", Conv(64, 7, stride=2, multiplier=8)), *_AFTER_7X7),
    },
    bodies={"pool96": _body(96), "pool128": _body(128)},
    image_size=224,
    aux=AuxSpec(reduce=128, features=1024, dense=True),
)

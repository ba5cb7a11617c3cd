"""The paper's modules at a tenth of their width, for images of 8 to 146 px.

Every kind of layer that the ablations swap is there: a 5x5 branch at the first grid (Fig. 4),
n x n at the second (Fig. 6), expanded banks at the third (Fig. 7), two parallel reductions
(Fig. 10). All paddings are "SAME", so that halving an input and the stem's stride keeps every
grid: 96 px at stride 2, 48 px at stride 1 and 24 px at stride 1 without pooling all give 24, 12, 6.

* body "small" (default) has one module a grid; "deep" has the released graph's three, four and two,
  under the same names, for questions in which depth matters.
* stem "small" (default) is one 3x3 before the pooling; "conv7x7" is the stem that the row
  "Factorized 7x7" of Table 3 starts from, and "chain3x3" the three 3x3 that replace it.
"""

from __future__ import annotations

from inception_jax.models.spec import AuxSpec, Block, Conv, Entry, Named, Network, Pool


def _grid35(name: str) -> Block:
    """1x1 | 3x3 | 5x5 | pool."""
    return Block(
        name,
        "grid35",
        (
            (Conv(16),),
            (Conv(16), Conv(24, 3)),
            (Conv(16), Conv(24, 5)),
            (Pool("avg"), Conv(16)),
        ),
    )


_REDUCTION_17 = Block(
    "Mixed_6a",
    "reduction",
    (
        (Conv(32, 3, stride=2),),
        (Conv(16), Conv(24, 3), Conv(24, 3, stride=2)),
        (Pool("max", stride=2),),
    ),
)


def _grid17(name: str) -> Block:
    """1x1 | 7x7 | 7x7 twice | pool, every 7x7 as 1x7 and 7x1."""

    def seven(filters: int, tall_first: bool) -> Conv:
        return Conv(filters, 7, strategy="asymmetric", mid=24, tall_first=tall_first)

    return Block(
        name,
        "grid17",
        (
            (Conv(32),),
            (Conv(24), seven(32, tall_first=False)),
            (Conv(24), seven(24, tall_first=True), seven(32, tall_first=True)),
            (Pool("avg"), Conv(32)),
        ),
    )


_REDUCTION_8 = Block(
    "Mixed_7a",
    "reduction",
    (
        (Conv(32), Conv(48, 3, stride=2)),
        (Conv(24), Conv(24, 7, strategy="asymmetric"), Conv(32, 3, stride=2)),
        (Pool("max", stride=2),),
    ),
)


def _grid8(name: str) -> Block:
    """1x1 | expanded 3x3 | 3x3, expanded 3x3 | pool."""
    return Block(
        name,
        "grid8",
        (
            (Conv(48),),
            (Conv(48), Conv(48, 3, expand=True)),
            (Conv(48), Conv(48, 3), Conv(48, 3, expand=True)),
            (Pool("avg"), Conv(32)),
        ),
    )


def _body(at_35: int, at_17: int, at_8: int) -> tuple[Entry, ...]:
    """So many modules at each grid, named in order."""
    return (
        *(_grid35(f"Mixed_5{letter}") for letter in "bcd"[:at_35]),
        _REDUCTION_17,
        *(_grid17(f"Mixed_6{letter}") for letter in "bcde"[:at_17]),
        _REDUCTION_8,
        *(_grid8(f"Mixed_7{letter}") for letter in "bc"[:at_8]),
    )


_AFTER_POOL: tuple[Entry, ...] = (Named("Conv2d_2a_3x3", Conv(32, 3)),)

INCEPTION_SMALL = Network(
    stems={
        "small": (
            Named("Conv2d_1a_3x3", Conv(16, 3)),
            Named("MaxPool_1b_3x3", Pool("max", stride=2)),
            *_AFTER_POOL,
        ),
        "conv7x7": (
            Named("Conv2d_1a_7x7", Conv(16, 7)),
            Named("MaxPool_1b_3x3", Pool("max", stride=2)),
            *_AFTER_POOL,
        ),
        "chain3x3": (
            Named("Conv2d_1a_3x3", Conv(8, 3)),
            Named("Conv2d_1b_3x3", Conv(8, 3)),
            Named("Conv2d_1c_3x3", Conv(16, 3)),
            Named("MaxPool_1d_3x3", Pool("max", stride=2)),
            *_AFTER_POOL,
        ),
    },
    bodies={"small": _body(1, 1, 1), "deep": _body(3, 4, 2)},
    image_size=28,
    aux=AuxSpec(reduce=24, features=96),
    aux_sites=("Mixed_6b",),
)

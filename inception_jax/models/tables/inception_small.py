"""The paper's modules at one module a grid and a tenth of the width, for images of 8 to 96 px.

Every kind of layer that the ablations swap is there once: a 5x5 branch at the first grid (Fig. 4),
n x n at the second (Fig. 6), expanded banks at the third (Fig. 7), two parallel reductions
(Fig. 10). All paddings are "SAME", so that halving an input and the stem's stride keeps every
grid: 96 px at stride 2, 48 px at stride 1 and 24 px at stride 1 without pooling all give 24, 12, 6.
"""

from __future__ import annotations

from inception_jax.models.spec import AuxSpec, Block, Conv, Named, Network, Pool

_GRID35 = Block(
    "Mixed_5b",
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

_GRID17 = Block(
    "Mixed_6b",
    "grid17",
    (
        (Conv(32),),
        (Conv(24), Conv(32, 7, strategy="asymmetric", mid=24)),
        (
            Conv(24),
            Conv(24, 7, strategy="asymmetric", mid=24, tall_first=True),
            Conv(32, 7, strategy="asymmetric", mid=24, tall_first=True),
        ),
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

_GRID8 = Block(
    "Mixed_7b",
    "grid8",
    (
        (Conv(48),),
        (Conv(48), Conv(48, 3, expand=True)),
        (Conv(48), Conv(48, 3), Conv(48, 3, expand=True)),
        (Pool("avg"), Conv(32)),
    ),
)

INCEPTION_SMALL = Network(
    stems={
        "small": (
            Named("Conv2d_1a_3x3", Conv(16, 3)),
            Named("MaxPool_1b_3x3", Pool("max", stride=2)),
            Named("Conv2d_2a_3x3", Conv(32, 3)),
        ),
    },
    bodies={"small": (_GRID35, _REDUCTION_17, _GRID17, _REDUCTION_8, _GRID8)},
    image_size=28,
    aux=AuxSpec(reduce=24, features=96),
    aux_sites=("Mixed_6b",),
)

"""Inception-v3 as released: the graph of TF-slim, torchvision, timm and Keras.

It parts from the paper's Table 1 in the stem, keeps a 5x5 branch at the 35 grid where Fig. 5 draws
two 3x3, and has four modules at the 17 grid (docs/paper_vs_code.md). Names are TF-slim's.
"""

from __future__ import annotations

from inception_jax.models.spec import Block, Conv, Entry, Named, Network, Pool


def grid35(name: str, pool_filters: int) -> Block:
    """Fig. 4/5: 1x1 | 5x5 | double 3x3 | pool."""
    return Block(
        name,
        "grid35",
        (
            (Conv(64),),
            (Conv(48), Conv(64, 5)),
            (Conv(64), Conv(96, 3), Conv(96, 3)),
            (Pool("avg"), Conv(pool_filters)),
        ),
    )


def grid17(name: str, width: int) -> Block:
    """Fig. 6 with n = 7: 1x1 | 7x7 | 7x7 twice | pool, every 7x7 as 1x7 and 7x1."""

    def seven(filters: int, tall_first: bool) -> Conv:
        return Conv(filters, 7, strategy="asymmetric", mid=width, tall_first=tall_first)

    return Block(
        name,
        "grid17",
        (
            (Conv(192),),
            (Conv(width), seven(192, tall_first=False)),
            (Conv(width), seven(width, tall_first=True), seven(192, tall_first=True)),
            (Pool("avg"), Conv(192)),
        ),
    )


def grid8(name: str) -> Block:
    """Fig. 7: the expanded filter banks."""
    return Block(
        name,
        "grid8",
        (
            (Conv(320),),
            (Conv(384), Conv(384, 3, expand=True)),
            (Conv(448), Conv(384, 3), Conv(384, 3, expand=True)),
            (Pool("avg"), Conv(192)),
        ),
    )


REDUCTION_17 = Block(
    "Mixed_6a",
    "reduction",
    (
        (Conv(384, 3, stride=2, padding="VALID"),),
        (Conv(64), Conv(96, 3), Conv(96, 3, stride=2, padding="VALID")),
        (Pool("max", stride=2, padding="VALID"),),
    ),
)

REDUCTION_8 = Block(
    "Mixed_7a",
    "reduction",
    (
        (Conv(192), Conv(320, 3, stride=2, padding="VALID")),
        (
            Conv(192),
            Conv(192, 7, strategy="asymmetric"),
            Conv(192, 3, stride=2, padding="VALID"),
        ),
        (Pool("max", stride=2, padding="VALID"),),
    ),
)

_AFTER_POOL: tuple[Entry, ...] = (
    Named("MaxPool_3a_3x3", Pool("max", stride=2, padding="VALID")),
    Named("Conv2d_3b_1x1", Conv(80)),
    Named("Conv2d_4a_3x3", Conv(192, 3, padding="VALID")),
    Named("MaxPool_5a_3x3", Pool("max", stride=2, padding="VALID")),
)

STEMS: dict[str, tuple[Entry, ...]] = {
    "released": (
        Named("Conv2d_1a_3x3", Conv(32, 3, stride=2, padding="VALID")),
        Named("Conv2d_2a_3x3", Conv(32, 3, padding="VALID")),
        Named("Conv2d_2b_3x3", Conv(64, 3)),
        *_AFTER_POOL,
    ),
    # The stem that the row "Factorized 7x7" of Table 3 starts from.
    "conv7x7": (
        Named("Conv2d_1a_7x7", Conv(64, 7, stride=2, padding="VALID")),
        *_AFTER_POOL,
    ),
}

# From the first reduction on; the paper's own networks share it (tables/paper.py).
AFTER_GRID35: tuple[Entry, ...] = (
    REDUCTION_17,
    grid17("Mixed_6b", 128),
    grid17("Mixed_6c", 160),
    grid17("Mixed_6d", 160),
    grid17("Mixed_6e", 192),
    REDUCTION_8,
    grid8("Mixed_7b"),
    grid8("Mixed_7c"),
)

INCEPTION_V3 = Network(
    stems=STEMS,
    bodies={
        "released": (
            grid35("Mixed_5b", 32),
            grid35("Mixed_5c", 64),
            grid35("Mixed_5d", 64),
            *AFTER_GRID35,
        ),
    },
    image_size=299,
    aux_sites=("Mixed_6e",),
)

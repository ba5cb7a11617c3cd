"""The Rethinking paper's own Inception-v2 and v3: its Table 1, with what it leaves open decided.

They differ from the released graph (tables/inception_v3.py) in the stem and at the 35 grid, and
from each other in the first convolution: 7x7 in `inception_v2`, three 3x3 in `inception_v3_paper`
(the row "Factorized 7x7" of Table 3). The widths of the modules stood in a file (model.txt) that is
not public; they are the released graph's. What else is open, with the default first:

* body "figure5": 1x1 | 3x3 | double 3x3 | pool at the 35 grid, as Fig. 5 draws. The double 3x3 are
  written as the 5x5 that they replace, so that `direct` gives Fig. 4. "released" has the released
  modules (5x5 | double 3x3) behind the paper's stem. Both have the 288 channels of Table 1.
* "5x Inception" at the 17 grid: four modules and the reduction before them, as the release counts.
  Body "five17" is figure5 with a fifth module, of width 160, where Table 1 is read literally.
* the last 3x3 of the stem is padded, though Table 1 does not mark it: its printed grid demands it.
* the 7x7 has stride 2, no padding and 64 filters: it gives what the three 3x3 give, 147x147x64.
* grid reductions are the released ones, variants of Fig. 10.
"""

from __future__ import annotations

from inception_jax.models.spec import Block, Conv, Entry, Named, Network, Pool
from inception_jax.models.tables import inception_v3 as released

_AFTER_POOL: tuple[Entry, ...] = (
    Named("MaxPool_3a_3x3", Pool("max", stride=2, padding="VALID")),
    Named("Conv2d_3b_3x3", Conv(80, 3, padding="VALID")),
    Named("Conv2d_4a_3x3", Conv(192, 3, stride=2, padding="VALID")),
    Named("Conv2d_4b_3x3", Conv(288, 3)),
)

_STEMS: dict[str, tuple[Entry, ...]] = {
    "conv7x7": (
        Named("Conv2d_1a_7x7", Conv(64, 7, stride=2, padding="VALID")),
        *_AFTER_POOL,
    ),
    "table1": (
        Named("Conv2d_1a_3x3", Conv(32, 3, stride=2, padding="VALID")),
        Named("Conv2d_2a_3x3", Conv(32, 3, padding="VALID")),
        Named("Conv2d_2b_3x3", Conv(64, 3)),
        *_AFTER_POOL,
    ),
}


def _figure5(name: str) -> Block:
    """1x1 | 3x3 | double 3x3 | pool, 288 channels."""
    return Block(
        name,
        "grid35",
        (
            (Conv(64),),
            (Conv(48), Conv(64, 3)),
            (Conv(64), Conv(96, 5, strategy="stacked_3x3")),
            (Pool("avg"), Conv(64)),
        ),
    )


_GRID35 = ("Mixed_5b", "Mixed_5c", "Mixed_5d")
_FIGURE5 = tuple(_figure5(name) for name in _GRID35)
_FIRST_17, *_REST = released.AFTER_GRID35[1:]

_BODIES: dict[str, tuple[Entry, ...]] = {
    "figure5": (*_FIGURE5, *released.AFTER_GRID35),
    "released": (*(released.grid35(name, 64) for name in _GRID35), *released.AFTER_GRID35),
    "five17": (
        *_FIGURE5,
        released.REDUCTION_17,
        _FIRST_17,
        released.grid17("Mixed_6b2", 160),
        *_REST,
    ),
}

INCEPTION_V2 = Network(
    stems=_STEMS,
    bodies=_BODIES,
    image_size=299,
    aux_sites=("Mixed_6e",),
)

INCEPTION_V3_PAPER = Network(
    stems={name: _STEMS[name] for name in ("table1", "conv7x7")},
    bodies=_BODIES,
    image_size=299,
    aux_sites=("Mixed_6e",),
)

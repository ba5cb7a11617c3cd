"""GoogLeNet (arXiv 1409.4842, Table 1), as printed, and with batch norm.

`googlenet` has 5x5 branches, local response normalisation, biases and no batch norm. The row
"BN-GoogLeNet" of the Rethinking paper's Table 3 is described nowhere; `bn_googlenet` is the same
network with every bias replaced by batch norm and no response normalisation, which batch norm makes
redundant (as TF-slim and torchvision have it). What else is open:

* body "printed" (default): 5x5 branches and a 3x3 pooling before 5a, as in the table. "ported" is
  what TF-slim and torchvision run: 3x3 kernels in the 5x5 branch (a known slip that their weights
  keep) and a 2x2 pooling there.
* padding: the paper says only that grids halve; "SAME" throughout, as TF-slim has it.
* response normalisation has Caffe's values (size 5, alpha 1e-4, beta 0.75); the paper gives none.

The grids of 28, 14 and 7 px take the factorization of the sites grid35, grid17 and grid8.
"""

from __future__ import annotations

from inception_jax.models.spec import AuxSpec, Block, Conv, Entry, Named, Network, Norm, Pool

# name, site, 1x1, 3x3 reduction, 3x3, 5x5 reduction, 5x5, pool projection: the rows of Table 1
_ROWS: tuple[tuple[str, str, int, int, int, int, int, int], ...] = (
    ("Inception_3a", "grid35", 64, 96, 128, 16, 32, 32),
    ("Inception_3b", "grid35", 128, 128, 192, 32, 96, 64),
    ("Inception_4a", "grid17", 192, 96, 208, 16, 48, 64),
    ("Inception_4b", "grid17", 160, 112, 224, 24, 64, 64),
    ("Inception_4c", "grid17", 128, 128, 256, 24, 64, 64),
    ("Inception_4d", "grid17", 112, 144, 288, 32, 64, 64),
    ("Inception_4e", "grid17", 256, 160, 320, 32, 128, 128),
    ("Inception_5a", "grid8", 256, 160, 320, 32, 128, 128),
    ("Inception_5b", "grid8", 384, 192, 384, 48, 128, 128),
)


def _body(large: int, last_pool: int) -> tuple[Entry, ...]:
    """The blocks with `large` x `large` kernels in the branch that Table 1 calls 5x5."""
    pools = {
        "Inception_4a": Named("MaxPool_3", Pool("max", stride=2)),
        "Inception_5a": Named("MaxPool_4", Pool("max", last_pool, stride=2)),
    }
    entries: list[Entry] = []
    for name, site, one, reduce3, three, reduce5, five, pool in _ROWS:
        if name in pools:
            entries.append(pools[name])
        branches = (
            (Conv(one),),
            (Conv(reduce3), Conv(three, 3)),
            (Conv(reduce5), Conv(five, large)),
            (Pool("max"), Conv(pool)),
        )
        entries.append(Block(name, site, branches))
    return tuple(entries)


def _stem(response_norm: bool) -> tuple[Entry, ...]:
    before = (Named("Norm_1", Norm()),) if response_norm else ()
    after = (Named("Norm_2", Norm()),) if response_norm else ()
    return (
        Named("Conv2d_1_7x7", Conv(64, 7, stride=2)),
        Named("MaxPool_1", Pool("max", stride=2)),
        *before,
        Named("Conv2d_2_1x1", Conv(64)),
        Named("Conv2d_2_3x3", Conv(192, 3)),
        *after,
        Named("MaxPool_2", Pool("max", stride=2)),
    )


_BODIES = {"printed": _body(5, 3), "ported": _body(3, 2)}
_AUX = AuxSpec(reduce=128, features=1024, dense=True)
_AUX_SITES = ("Inception_4a", "Inception_4d")

GOOGLENET = Network(
    stems={"conv7x7": _stem(response_norm=True)},
    bodies=_BODIES,
    image_size=224,
    aux=_AUX,
    aux_sites=_AUX_SITES,
    batch_norm=False,
)

BN_GOOGLENET = Network(
    stems={"conv7x7": _stem(response_norm=False)},
    bodies=_BODIES,
    image_size=224,
    aux=_AUX,
    aux_sites=_AUX_SITES,
)

"""The networks, a family a file. A new network is a new table and a line in `NETWORKS`."""

from __future__ import annotations

from inception_jax.models.spec import Network
from inception_jax.models.tables.bn_inception import BN_INCEPTION
from inception_jax.models.tables.googlenet import BN_GOOGLENET, GOOGLENET
from inception_jax.models.tables.inception_small import INCEPTION_SMALL
from inception_jax.models.tables.inception_v3 import INCEPTION_V3
from inception_jax.models.tables.paper import INCEPTION_V2, INCEPTION_V3_PAPER

NETWORKS: dict[str, Network] = {
    "inception_small": INCEPTION_SMALL,
    "googlenet": GOOGLENET,
    "bn_googlenet": BN_GOOGLENET,
    "bn_inception": BN_INCEPTION,
    "inception_v2": INCEPTION_V2,
    "inception_v3_paper": INCEPTION_V3_PAPER,
    "inception_v3": INCEPTION_V3,
}

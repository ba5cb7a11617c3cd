"""The rows of the paper's Table 3, each a network with its recipe, one change a row.

    inception-jax train --config configs/table3.py:inception_v2_rmsprop --workdir runs/v2_rmsprop

| config | row | top-1 error, paper | our GMAC |
|---|---|---|---|
| googlenet | GoogLeNet | 29 % | 1.583 |
| bn_googlenet | BN-GoogLeNet | 26.8 % | 1.583 |
| bn_inception | BN-Inception | 25.2 % | 2.019 |
| inception_v2 | Inception-v2 | 23.4 % | 5.452 |
| inception_v2_rmsprop | + RMSProp | 23.1 % | 5.452 |
| inception_v2_label_smoothing | + label smoothing | 22.8 % | 5.452 |
| inception_v2_factorized_7x7 | + factorized 7x7 | 21.6 % | 5.865 |
| inception_v3 | + BN-auxiliary = Inception-v3 | 21.2 % | 5.865 |

The paper's errors are on 48,238 of the 50,000 validation images; on all of them they are 0.2 to 0.3
points higher (docs/imagenet.md, section 5).

Cost: the last row takes 5.865 GMAC an image forward, three times that with the backward pass; 100
epochs are 1.28e8 images. At 100 TFLOP/s, as assumed in configs/imagenet.py, it takes 13
device-hours, as does the one above; the three above these take 12 each, BN-Inception 4 and each
GoogLeNet 3.5: 71 for the whole table.

Everything that a row does not name is configs/imagenet.py's. What the paper does not say, and what
stands here: the rows before RMSProp use momentum SGD at the same rate (with epsilon 1.0 RMSProp is
close to it); GoogLeNet without batch norm starts at 0.01, with He's initial values. The heads of
the two GoogLeNets, their dropout and weight are those of GoogLeNet's paper. "BN-auxiliary" adds
batch norm to the head's layer over the whole grid; its 1x1 convolution has it in every row. The
last row is the paper's graph; the released one is `--config.model.name=inception_v3`.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import errors

_GOOGLENET: dict[str, Any] = {
    "data.image_size": 224,
    "model.dropout": 0.4,
    "model.aux.sites": ("Inception_4a", "Inception_4d"),
    "model.aux.dropout": 0.7,
    "loss.aux_weight": 0.3,
}
_SGD: dict[str, Any] = {"optim.name": "sgd", "loss.label_smoothing": 0.0}
_V2: dict[str, Any] = {
    **_SGD,
    "model.name": "inception_v2",
    "model.aux.sites": ("Mixed_6e",),
    "model.aux.dense_batch_norm": False,
}

# From inception_v2 on each row is the one above and its own line: the table is cumulative.
_V2_RMSPROP = {**_V2, "optim.name": "rmsprop"}
_V2_SMOOTHING = {**_V2_RMSPROP, "loss.label_smoothing": 0.1}
_V2_FACTORIZED = {**_V2_SMOOTHING, "model.name": "inception_v3_paper"}
_V3 = {**_V2_FACTORIZED, "model.aux.dense_batch_norm": True}

ROWS: dict[str, dict[str, Any]] = {
    "googlenet": {
        **_SGD,
        **_GOOGLENET,
        "model.name": "googlenet",
        "model.init": "he",
        "optim.learning_rate": 0.01,
    },
    "bn_googlenet": {**_SGD, **_GOOGLENET, "model.name": "bn_googlenet"},
    "bn_inception": {
        **_SGD,
        "model.name": "bn_inception",
        "model.aux.sites": (),
        "data.image_size": 224,
    },
    "inception_v2": _V2,
    "inception_v2_rmsprop": _V2_RMSPROP,
    "inception_v2_label_smoothing": _V2_SMOOTHING,
    "inception_v2_factorized_7x7": _V2_FACTORIZED,
    "inception_v3": _V3,
}


def get_config(row: str = "inception_v3") -> ConfigDict:
    """The config of one row.

    Args:
        row: a key of `ROWS`.

    Raises:
        UsageError: no such row; names the nearest.
    """
    if row not in ROWS:
        raise errors.unknown("row of Table 3", row, ROWS)
    return config_lib.apply(config_lib.load_file("configs/imagenet.py"), ROWS[row])

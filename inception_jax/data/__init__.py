"""Data sets by name, and the batches that training and evaluation read from them.

`load(config.data)` prepares a data set where that is needed and opens it; `train_iterator` and
`eval_batches` read it; `names()` lists what there is. TensorFlow is never imported.
"""

from __future__ import annotations

from inception_jax.data.dataset import Dataset, DatasetInfo, info, load, names
from inception_jax.data.dataset import prepare_named as prepare
from inception_jax.data.evaluation import crops_of, eval_batches
from inception_jax.data.pipeline import TrainIterator, train_iterator

__all__ = [
    "Dataset",
    "DatasetInfo",
    "TrainIterator",
    "crops_of",
    "eval_batches",
    "info",
    "load",
    "names",
    "prepare",
    "train_iterator",
]

r"""inception_small, three times as wide, on CIFAR-10: a run for one GPU.

    # once, where TensorFlow is (docs/imagenet.md says what to install)
    python -c "import tensorflow_datasets as tfds; \
    tfds.builder('cifar10', file_format='array_record').download_and_prepare()"
    inception-jax train --config configs/cifar10.py --workdir runs/cifar10

Expected: 92 to 94 % top-1, what networks of this kind score with this recipe. Not run here.

Cost: 122 MMAC an image forward; 47,500 images x 60 epochs are 11,100 steps of 256, 1.0e15 MAC with
the backward pass. A GPU that reaches 20 TFLOP/s on so small a network takes two minutes, 0.03
device-hours: an assumption, not measured. Two CPU cores take five hours
or so; `--config.train.epochs=5 --config.model.width=1.0` makes it minutes.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib

RECIPE: dict[str, Any] = {
    "model.name": "inception_small",
    "model.width": 3.0,
    "data.name": "cifar10",
    "data.image_size": 32,
    "data.batch_size": 256,
    "data.eval_batch_size": 500,
    "data.augment": "shift_flip",
    "data.validation_fraction": 0.05,
    "data.threads": 8,
    "optim.name": "sgd",
    "optim.learning_rate": 0.1,
    "optim.momentum": 0.9,
    "optim.weight_decay": 5e-4,
    "optim.schedule": "cosine",
    "optim.warmup_epochs": 2.0,
    "optim.ema_decay": 0.999,
    "train.epochs": 60.0,
    "train.eval_every_epochs": 2.0,
    "train.log_every_steps": 100,
    "train.keep_best": "top1",
    "train.measure_peak": True,
}


def get_config() -> ConfigDict:
    """The recipe on the library's defaults."""
    return config_lib.apply(config_lib.default(), RECIPE)

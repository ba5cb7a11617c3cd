r"""Inception-v3 on Imagenette: ten classes of ImageNet at full resolution, for one GPU.

    # once, where TensorFlow is (docs/imagenet.md says what to install)
    python -c "import tensorflow_datasets as tfds; \
    tfds.builder('imagenette/full-size-v2', file_format='array_record').download_and_prepare()"
    inception-jax train --config configs/imagenette.py --workdir runs/imagenette

Expected: 91 to 94 % top-1, the range of published runs from scratch of this length. Not run here.

Cost: 5.711 GMAC an image forward; 8,996 images x 60 epochs = 5.4e5 images, 9.3e15 MAC with the
backward pass. A GPU that trains 500 images/s takes 18 minutes, 0.3 device-hours: an assumption, not
measured. Two CPU cores at 3 images/s (docs/performance.md) would take two days:
`--config.data.image_size=96 --config.train.epochs=5` makes it half an hour or so.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib

RECIPE: dict[str, Any] = {
    "model.name": "inception_v3",
    "model.bn_decay": 0.9,
    "model.dtype": "bfloat16",
    "model.aux.sites": ("Mixed_6e",),
    "data.name": "imagenette/full-size-v2",
    "data.image_size": 299,
    "data.batch_size": 64,
    "data.eval_batch_size": 100,
    "data.augment": "inception",
    "data.decoder": "opencv",
    "data.eval_crop": 0.875,
    "data.validation_fraction": 0.05,
    "data.threads": 8,
    "optim.name": "rmsprop",
    "optim.learning_rate": 0.045,
    "optim.schedule": "cosine",
    "optim.warmup_epochs": 3.0,
    "optim.epsilon": 1.0,
    "optim.weight_decay": 4e-5,
    "optim.clip_norm": 2.0,
    "optim.ema_decay": 0.999,
    "loss.label_smoothing": 0.1,
    "train.epochs": 60.0,
    "train.eval_every_epochs": 2.0,
    "train.log_every_steps": 20,
    "train.keep_best": "top1",
    "train.measure_peak": True,
}


def get_config() -> ConfigDict:
    """The recipe on the library's defaults."""
    return config_lib.apply(config_lib.default(), RECIPE)

"""Inception-v3 on ImageNet with a recipe of today: cosine, warm-up, large batches, decoupled decay.

    inception-jax train --config configs/imagenet_modern.py --workdir runs/modern
    inception-jax train --config configs/imagenet_modern.py:lamb --workdir runs/lamb

Two variants. "sgd" (the default) follows GluonCV's recipe for this network, without mixup and for
100 of its 200 epochs: momentum 0.9, rate 0.4 for 1,024 images, five epochs of warm-up, cosine to
zero, decay 1e-4 on kernels alone, label smoothing 0.1. "lamb" takes 4,096 images a step; its rate
was not tuned.

Expected: 77.5 to 78.5 % top-1 on the 50,000 validation images; published runs of this network from
scratch lie between 77.0 and 78.8 %. Neither variant was run here.

Cost: 5.713 GMAC an image forward, three times that with the backward pass; 1.28e8 images are
2.2e18 MAC, 4.4e18 FLOP. At 40 % of an H100's 990 TFLOP/s in bf16 that is 3 device-hours, at 10 %
twelve: an assumption, not measured. Three hours are 11,600 images/s, more than the input of one
machine: docs/performance.md has what a core decodes.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import errors

_SHARED: dict[str, Any] = {
    "model.name": "inception_v3",
    "model.dropout": 0.2,
    "model.bn_decay": 0.9,
    "model.bn_group": 32,
    "model.dtype": "bfloat16",
    "model.aux.sites": ("Mixed_6e",),
    "data.name": "imagenet2012",
    "data.image_size": 299,
    "data.eval_batch_size": 500,
    "data.augment": "inception",
    "data.box_area": (0.08, 1.0),
    "data.box_aspect": (0.75, 1.3333),
    "data.box_covered": 0.0,
    "data.interpolation": "bilinear",
    "data.colour": "fast",
    "data.decoder": "opencv",
    "data.eval_crop": 0.875,
    "data.threads": 16,
    "data.validation_fraction": 0.01,
    "optim.schedule": "cosine",
    "optim.warmup_epochs": 5.0,
    "optim.ema_decay": 0.9999,
    "loss.label_smoothing": 0.1,
    "loss.aux_weight": 0.4,
    "train.epochs": 100.0,
    "train.log_every_steps": 100,
    "train.checkpoint_every_seconds": 600.0,
    "train.keep_best": "top1",
    "train.measure_peak": True,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {
        "data.batch_size": 1024,
        "optim.name": "sgd",
        "optim.learning_rate": 0.4,
        "optim.momentum": 0.9,
        "optim.weight_decay": 1e-4,
    },
    "lamb": {
        "data.batch_size": 4096,
        "optim.name": "lamb",
        "optim.learning_rate": 0.008,
        "optim.epsilon": 1e-6,
        "optim.weight_decay": 0.02,
    },
}


def get_config(variant: str = "sgd") -> ConfigDict:
    """The config of one variant.

    Args:
        variant: "sgd" or "lamb".

    Raises:
        UsageError: no such variant; names the nearest.
    """
    if variant not in VARIANTS:
        raise errors.unknown("variant of configs/imagenet_modern.py", variant, VARIANTS)
    return config_lib.apply(config_lib.default(), _SHARED | VARIANTS[variant])

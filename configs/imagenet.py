"""Inception-v3 on ImageNet with the paper's recipe (section 8) and what its authors' code adds.

    inception-jax train --config configs/imagenet.py --workdir runs/imagenet

Expected: 78.0 % top-1 and 93.9 % top-5 on all 50,000 validation images, from the averaged
parameters and one central crop: what the authors' released weights score. The paper prints 78.8 %
on 48,238 of them, which is about 78.5 % on all. Independent runs of this recipe ended between 77.0
and 78.8 %. Not run here yet.

Cost: 5.713 GMAC an image forward, 17.1 with the backward pass; 1,281,167 images x 100 epochs are
80,000 steps of 1,600, 2.2e18 MAC or 4.4e18 FLOP in all. A GPU that reaches 100 TFLOP/s, a fifth of
an H100's peak in TF32 (JAX's float32 there), takes 12 device-hours: an assumption, not measured.
Needs `imagenet2012` prepared by TFDS (about 150 GB, docs/imagenet.md) and the extra `fast`.

From the paper: RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 x 0.94 every two epochs, clipping
at 2.0 (read as the gradient's global norm), 50 replicas of 32, 100 epochs, averaged parameters,
label smoothing 0.1. From its authors' code (tensorflow/models, research/inception): momentum 0.9,
weight decay 4e-5, weight 0.4 of the auxiliary head, batch norm without gamma and decay 0.9997,
statistics per replica, EMA 0.9999 with warm-up, initial sd 0.1 (classifier 0.01, the auxiliary
head's last two layers 0.01 and 0.001), distortions, the 0.875 crop. Each is a key of the config,
below with its value. Not from there: that trainer draws crops around ImageNet's object boxes, which
TFDS does not have (the whole image is the object here), and clips gradients that hold the weight
decay, which comes after the clipping here; and evaluation filters with antialiasing, as PIL does.

On one GPU a batch of 1,600 does not fit: `--config.train.accumulate=10`.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib

RECIPE: dict[str, Any] = {
    "model.name": "inception_v3",
    "model.dropout": 0.2,
    "model.init": "normal",
    "model.init_sd": 0.1,
    "model.head_sd": 0.01,
    "model.bn_scale": False,
    "model.bn_decay": 0.9997,
    "model.bn_epsilon": 1e-3,
    "model.bn_group": 32,
    "model.aux.sites": ("Mixed_6e",),
    "model.aux.conv_sd": 0.01,
    "model.aux.classifier_sd": 0.001,
    "data.name": "imagenet2012",
    "data.image_size": 299,
    "data.batch_size": 1600,
    "data.eval_batch_size": 500,
    "data.augment": "inception",
    "data.box_area": (0.05, 1.0),
    "data.box_aspect": (0.75, 1.33),
    "data.box_covered": 0.1,
    "data.mirror": True,
    "data.interpolation": "four",
    "data.colour": "trainer",
    "data.decoder": "opencv",  # filters as TensorFlow's: not antialiased
    "data.eval_crop": 0.875,
    "data.threads": 16,
    "optim.name": "rmsprop",
    "optim.learning_rate": 0.045,
    "optim.schedule": "exponential",
    "optim.warmup_epochs": 0.0,
    "optim.decay_rate": 0.94,
    "optim.decay_epochs": 2.0,
    "optim.staircase": True,
    "optim.momentum": 0.9,
    "optim.rms_decay": 0.9,
    "optim.rms_initial": 1.0,
    "optim.epsilon": 1.0,
    "optim.epsilon_in_root": True,
    "optim.weight_decay": 4e-5,
    "optim.clip_norm": 2.0,
    "optim.ema_decay": 0.9999,
    "optim.ema_warmup": True,
    "optim.ema_batch_stats": True,
    "loss.label_smoothing": 0.1,
    "loss.aux_weight": 0.4,
    "train.epochs": 100.0,
    "train.log_every_steps": 100,
    "train.checkpoint_every_seconds": 600.0,
    "train.measure_peak": True,
}


def get_config() -> ConfigDict:
    """The paper's recipe for the released Inception-v3."""
    return config_lib.apply(config_lib.default(), RECIPE)

"""Optimizers by name, as chains of Optax parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from inception_jax import errors

Rate = optax.Schedule  # learning rate of each step; the step itself gives it as an argument


def kernels(params: Any) -> Any:
    """True for kernels of convolutions and dense layers, False for biases and batch norm."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _l2(optim: ConfigDict) -> optax.GradientTransformation:
    """The gradient of weight_decay × ½ Σ w² over the kernels, TensorFlow's `l2_loss`."""
    if not optim.weight_decay:
        return optax.identity()
    return optax.add_decayed_weights(optim.weight_decay, mask=kernels)


def _rmsprop(optim: ConfigDict, rate: Rate) -> optax.GradientTransformation:
    """TensorFlow 1's RMSProp: accumulators from one, epsilon inside the root, rate in the momentum.

    With g the gradient: s ← d s + (1 - d) g²; m ← µ m + η g / √(s + ε); w ← w - m. The keys
    `rms_initial` (of s) and `epsilon_in_root` make PyTorch's of it: from 0, √s + ε.
    """
    return optax.chain(
        _l2(optim),
        optax.rmsprop(
            rate,
            decay=optim.rms_decay,
            eps=optim.epsilon,
            initial_scale=optim.rms_initial,
            eps_in_sqrt=optim.epsilon_in_root,
            momentum=optim.momentum or None,
        ),
    )


def _sgd(optim: ConfigDict, rate: Rate) -> optax.GradientTransformation:
    return optax.chain(_l2(optim), optax.sgd(rate, momentum=optim.momentum or None))


def _adamw(optim: ConfigDict, rate: Rate) -> optax.GradientTransformation:
    return optax.adamw(rate, eps=optim.epsilon, weight_decay=optim.weight_decay, mask=kernels)


def _lamb(optim: ConfigDict, rate: Rate) -> optax.GradientTransformation:
    return optax.lamb(rate, eps=optim.epsilon, weight_decay=optim.weight_decay, mask=kernels)


_OPTIMIZERS: dict[str, Callable[[ConfigDict, Rate], optax.GradientTransformation]] = {
    "rmsprop": _rmsprop,
    "sgd": _sgd,
    "adamw": _adamw,
    "lamb": _lamb,
}


def create(optim: ConfigDict, rate: Rate) -> optax.GradientTransformation:
    """The optimizer of a config.

    The gradient of the data loss is clipped by its global norm first (the paper's 2.0, section 8);
    the weight decay is added after that.

    Args:
        optim: `config.optim`.
        rate: learning rate of each step; always a function, so that the state has one structure.

    Raises:
        UsageError: unknown optimizer.
    """
    if optim.name not in _OPTIMIZERS:
        raise errors.unknown("optimizer (config key optim.name)", optim.name, _OPTIMIZERS)
    clip = optax.clip_by_global_norm(optim.clip_norm) if optim.clip_norm else optax.identity()
    return optax.chain(clip, _OPTIMIZERS[optim.name](optim, rate))

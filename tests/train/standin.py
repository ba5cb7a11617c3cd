"""A tiny network and data set with the interfaces of the real ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from inception_jax import config as configs

CLASSES = 7
SHAPE = (6, 6, 1)


class Outputs(NamedTuple):
    """As `models.Outputs`."""

    logits: jax.Array
    aux: tuple[jax.Array, ...]


class GroupNorm(nn.Module):
    """Batch norm in groups of consecutive examples, in the network's own precision."""

    group: int
    dtype: Any

    @nn.compact
    def __call__(self, x, train):
        features, dtype = x.shape[-1], self.dtype
        mean = self.variable("batch_stats", "mean", jnp.zeros, features, dtype)
        var = self.variable("batch_stats", "var", jnp.ones, features, dtype)
        scale = self.param("scale", lambda key: jnp.ones(features, dtype))
        bias = self.param("bias", lambda key: jnp.zeros(features, dtype))
        group = self.group if self.group and len(x) % self.group == 0 else len(x)
        parts = x.reshape(-1, group, *x.shape[1:])
        if train:
            mu = parts.mean((1, 2, 3), keepdims=True)
            sigma = jnp.square(parts - mu).mean((1, 2, 3), keepdims=True)
            if not self.is_initializing():
                mean.value = 0.9 * mean.value + 0.1 * mu.reshape(-1, features).mean(0)
                var.value = 0.9 * var.value + 0.1 * sigma.reshape(-1, features).mean(0)
        else:
            mu, sigma = (v.value.reshape(1, 1, 1, 1, -1) for v in (mean, var))
        y = (parts - mu) / jnp.sqrt(sigma + 1e-5)
        shape = (1, 1, 1, 1, -1)
        return (y * scale.reshape(shape) + bias.reshape(shape)).reshape(x.shape)


class Network(nn.Module):
    """Convolution, optional batch norm and dropout, a classifier and an auxiliary head."""

    batch_norm: bool = True
    dropout: float = 0.0
    auxiliary: bool = True
    classes: int = CLASSES
    dtype: Any = jnp.float32
    group: int = 0  # examples that share batch-norm statistics; 0 is all

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Outputs:
        x = nn.Conv(8, (3, 3), dtype=self.dtype, param_dtype=self.dtype, name="stem")(images)
        if self.batch_norm:
            x = GroupNorm(self.group, self.dtype, name="norm")(x, train)
        x = nn.relu(x).reshape(len(x), -1)
        aux = nn.Dense(self.classes, dtype=self.dtype, param_dtype=self.dtype, name="aux")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(self.classes, dtype=self.dtype, param_dtype=self.dtype, name="logits")(x)
        return Outputs(logits, (aux,) if self.auxiliary else ())


def config(**overrides: Any) -> ConfigDict:
    """A resolved config for 64 examples in batches of 8."""
    values = {"data.batch_size": 8, "data.eval_batch_size": 8, "optim.warmup_epochs": 0.0}
    changed = configs.apply(
        configs.default(), values | {k.replace("__", "."): v for k, v in overrides.items()}
    )
    return configs.resolve(changed, 64)


def batch(size: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """uint8 images whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES, size).astype(np.int32)
    image = rng.integers(0, 120, (size, *SHAPE)) + 19 * label[:, None, None, None]
    return {"image": image.astype(np.uint8), "label": label}

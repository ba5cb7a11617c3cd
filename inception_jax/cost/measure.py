"""How long a forward pass takes, to set beside its MACs."""

from __future__ import annotations

import statistics
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def forward_seconds(
    model: nn.Module, image_size: int, channels: int = 3, *, repeats: int = 7
) -> float:
    """Median time of a compiled forward pass of one image on the default device, s.

    Args:
        model: a Linen module called with images f32[N, H, W, C].
        image_size: side of the square image, px.
        channels: of the image.
        repeats: passes timed, after one that is not.
    """
    images = jnp.zeros((1, image_size, image_size, channels), jnp.float32)
    variables: Any = model.init(jax.random.key(0), images)
    forward = jax.jit(lambda v, x: model.apply(v, x))
    jax.block_until_ready(forward(variables, images))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(forward(variables, images))
        times.append(time.perf_counter() - start)
    return statistics.median(times)

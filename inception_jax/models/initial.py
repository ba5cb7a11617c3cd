"""Initial values of parameters, without compiling a program for every shape.

Drawing each kernel with `jax.random.truncated_normal` compiles one program a shape: 28 s for
Inception-v3 on two cores, more than its first training step. Here every kernel is cut from blocks
of one fixed size, which compile once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from inception_jax.models.options import Options

_BLOCK = 16384
# sd of a unit normal cut at two: He's rule is about the sd after truncation
_TRUNCATED_SD = 0.87962566103423978


def kernel(options: Options, sd: float = 0.0) -> Any:
    """The initializer `(key, shape) -> f32[shape]` of a kernel, HWIO or [in, out].

    Args:
        options: `init` "he" is sd sqrt(2 / fan in) after truncation, TF-slim's; "normal" is
            `init_sd` before it, as `tf.truncated_normal` has it.
        sd: a layer's own deviation before truncation, which wins over `init`; 0 is none.
    """

    def draw(key: jax.Array, shape: Sequence[int]) -> jax.Array:
        deviation = sd or options.init_sd
        if not sd and options.init == "he":
            deviation = math.sqrt(2.0 / math.prod(shape[:-1])) / _TRUNCATED_SD
        return _truncated_normal(key, shape) * deviation

    return draw


def zeros(key: Any, shape: Sequence[int]) -> jax.Array:
    """f32 zeros; from NumPy, which compiles nothing."""
    del key
    return jnp.asarray(np.zeros(shape, np.float32))


def ones(key: Any, shape: Sequence[int]) -> jax.Array:
    """f32 ones; from NumPy, which compiles nothing."""
    del key
    return jnp.asarray(np.ones(shape, np.float32))


@jax.jit
def _block(key: jax.Array, index: jax.Array) -> jax.Array:
    return jax.random.truncated_normal(jax.random.fold_in(key, index), -2.0, 2.0, (_BLOCK,))


@functools.partial(jax.jit, static_argnums=1)
def _blocks(key: jax.Array, count: int) -> jax.Array:
    """The first blocks, f32[count, _BLOCK]; traced once for every count."""
    return jax.lax.map(lambda i: _block(key, i), jnp.arange(count))


def _truncated_normal(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """A unit normal cut at two sd, f32[shape], the same values inside and outside of `jax.jit`."""
    size = math.prod(shape)
    count = -(-size // _BLOCK)
    if isinstance(key, Tracer):
        return _blocks(key, count).reshape(-1)[:size].reshape(shape)
    drawn = np.concatenate([np.asarray(_block(key, np.int32(i))) for i in range(count)])
    return jnp.asarray(drawn[:size].reshape(shape))

"""The plain XLA form of every op: what accelerators run and the CPU forms are checked against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental.xla_metadata import set_xla_metadata

Padding = Sequence[tuple[int, int]]
Pair = tuple[int, int]
P = ParamSpec("P")
T = TypeVar("T")


def conv(x: Array, kernel: Array, strides: Pair, padding: Padding) -> Array:
    """Convolution of x[N,H,W,C] with kernel[h,w,C,F], or depthwise with kernel[h,w,1,C*m]."""
    groups, names = x.shape[-1] // kernel.shape[2], ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, strides, tuple(padding), dimension_numbers=names, feature_group_count=groups
    )


def max_pool(x: Array, window: Pair, strides: Pair, padding: Padding) -> Array:
    """Maximum over windows of x[N,H,W,C]; the border counts as minus infinity."""
    # a concrete start value: a traced one hides from JAX that this is a maximum, with a gradient
    start = np.asarray(lowest(x.dtype), x.dtype)[()]
    return lax.reduce_window(x, start, lax.max, *_window4(window, strides, padding))


def sum_pool(x: Array, window: Pair, strides: Pair, padding: Padding) -> Array:
    """Sum over windows of x[N,H,W,C]; the border counts as zero."""
    return lax.reduce_window(x, 0.0, lax.add, *_window4(window, strides, padding))


def batch_norm_train(
    x: Array, scale: Array, bias: Array, epsilon: float, relu: bool
) -> tuple[Array, Array, Array]:
    """Normalise x[N,...,C] by its own statistics; y, and mean and variance f32[C]."""
    wide, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    var = jnp.square(wide - _last(mean, x.ndim)).mean(axes)
    return batch_norm_eval(x, scale, bias, mean, var, epsilon=epsilon, relu=relu), mean, var


def batch_norm_eval(
    x: Array,
    scale: Array | None,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float,
    relu: bool,
) -> Array:
    """Normalise x[N,...,C] by running statistics f32[C]; XLA fuses it whole everywhere.

    Args:
        x: features.
        scale: factor [C], or None for one.
        bias: offset [C].
        mean: subtracted.
        var: divided by the square root of.
        epsilon: added to the variance.
        relu: whether ReLU follows.
    """
    factor = lax.rsqrt(var + epsilon)
    y = (x.astype(jnp.float32) - _last(mean, x.ndim)) * _last(factor, x.ndim)
    y = y if scale is None else y * _last(scale, x.ndim)
    y = y + _last(bias, x.ndim)
    return (jax.nn.relu(y) if relu else y).astype(x.dtype)


def _last(vector: Array, dimensions: int) -> Array:
    """A vector along the last of so many dimensions, in float32."""
    return vector.astype(jnp.float32).reshape((1,) * (dimensions - 1) + (-1,))


def bordered(x: Array, padding: Padding, fill: float = 0.0) -> Array:
    """x[N,H,W,C] with a border; put together, which compiles in a quarter of a `lax.pad`'s time."""
    for axis, sides in enumerate(padding, 1):
        before, after = (
            jnp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), fill, x.dtype) for n in sides
        )
        x = jnp.concatenate([before, x, after], axis) if any(sides) else x
    return x


def slices(
    x: Array, window: Pair, strides: Pair, padding: Padding, fill: float = 0.0
) -> Iterator[Array]:
    """For each place in a window, in reading order, the pixels of all windows at that place."""
    padded = bordered(x, padding, fill)
    (rows, columns), (down, right), (height, width) = window, strides, padded.shape[1:3]
    for i in range(rows):
        for j in range(columns):
            yield padded[:, i : i + height - rows + 1 : down, j : j + width - columns + 1 : right]


def lowest(dtype: jnp.dtype) -> float:
    """What no maximum prefers."""
    return -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _window4(window: Pair, strides: Pair, padding: Padding) -> tuple:
    return (1, *window, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0))


def whole(*static: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator of a function of arrays whose arguments and results XLA computes once.

    Fused with what uses it, a result would be computed again for each use, and a CPU keeps no
    barrier that long; XLA fuses nothing into a call, and this one stays a call.

    Args:
        *static: names of its arguments that are no arrays.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def inlined(*args: P.args, **named: P.kwargs) -> T:
            with set_xla_metadata(inlineable=None):  # of the functions that it calls
                return function(*args, **named)

        traced = jax.jit(inlined, static_argnames=static)

        @functools.wraps(function)
        def called(*args: P.args, **named: P.kwargs) -> T:
            with set_xla_metadata(inlineable="false"):
                return traced(*args, **named)

        return called

    return decorate

"""Max and average pooling, as maxima and sums of shifted slices on a CPU."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from inception_jax.ops import plain, rules
from inception_jax.ops.plain import Padding, Pair


class Windows(NamedTuple):
    """Where pooling looks, and the image's height and width, which the gradient has."""

    window: Pair
    strides: Pair
    padding: tuple[Pair, ...]
    size: tuple[int, ...]


def max_pool(
    x: Array, window: Pair, strides: Pair, padding: Padding, lowering: str = "auto"
) -> Array:
    """Maximum over windows of x[N,H,W,C]; the border never wins.

    Where several pixels share a window's maximum, the first of them in reading order gets the
    gradient, in every lowering.

    Args:
        x: features.
        window: height and width of a window.
        strides: steps along height and width.
        padding: border before and after, for height and for width.
        lowering: "auto" or "xla"; see `ops.conv`.
    """
    if not rules.on_cpu(lowering) or window[0] * window[1] > rules.POOL_PIXELS:
        return plain.max_pool(x, window, strides, padding)
    return _max_pool(x, Windows(window, strides, tuple(padding), x.shape[1:3]))


def avg_pool(
    x: Array,
    window: Pair,
    strides: Pair,
    padding: Padding,
    count_include_pad: bool,
    lowering: str = "auto",
) -> Array:
    """Mean over windows of x[N,H,W,C].

    Args:
        x: features.
        window: height and width of a window.
        strides: steps along height and width.
        padding: border before and after, for height and for width.
        count_include_pad: whether border pixels count as zeros (torch) or not at all (TensorFlow).
        lowering: "auto" or "xla"; see `ops.conv`.
    """
    count: Array | int = window[0] * window[1]
    if not count_include_pad:
        ones = jnp.ones((1, *x.shape[1:3], 1), jnp.float32)  # bfloat16 counts to 256
        count = plain.sum_pool(ones, window, strides, padding)
    share = jnp.asarray(1 / count, x.dtype)
    if tuple(window) == x.shape[1:3] and not any(map(any, padding)):
        return jnp.sum(x, (1, 2), keepdims=True) * share
    if not rules.on_cpu(lowering) or window[0] * window[1] > rules.POOL_PIXELS:
        return plain.sum_pool(x, window, strides, padding) * share
    return reduce(jnp.add, plain.slices(x, window, strides, padding)) * share


@plain.whole("box")
def _max_primal(x: Array, box: Windows) -> Array:
    return reduce(jnp.maximum, plain.slices(x, *box[:3], plain.lowest(x.dtype)))


@plain.whole("box")
def _max_forward(x: Array, box: Windows) -> tuple[Array, Array]:
    """The maxima, and for each the place in its window of the first pixel that has it."""
    slices = plain.slices(x, *box[:3], plain.lowest(x.dtype))
    highest = next(slices)
    place = jnp.zeros(highest.shape, jnp.int8)
    for index, pixel in enumerate(slices, 1):
        place = jnp.where(pixel > highest, jnp.int8(index), place)
        highest = jnp.maximum(highest, pixel)
    return highest, place


def _max_backward(box: Windows, place: Array, cotangent: Array) -> tuple[Array]:
    """Gathers instead of scattering: what each pixel has won, window by window.

    The padded pixel at row `stride * block + residue` is in window `block - back` its row
    `residue + stride * back`; so also for columns.
    """
    (rows, columns), (down, right) = box.window, box.strides
    back = ((rows - 1) // down, (columns - 1) // right)
    sides = zip(box.size, box.padding, box.strides, strict=True)
    blocks = [-(-(size + sum(pads)) // step) for size, pads, step in sides]
    edges = [(b, n - m) for b, n, m in zip(back, blocks, place.shape[1:3], strict=True)]
    near = (back[0] + 1, back[1] + 1), (1, 1), edges
    total = jnp.zeros((), cotangent.dtype)
    both = zip(plain.slices(cotangent, *near), plain.slices(place, *near, -1), strict=True)
    for index, (gradient, winner) in enumerate(both):
        above, before = divmod(index, back[1] + 1)
        row = np.arange(down)[:, None] + (back[0] - above) * down
        column = np.arange(right) + (back[1] - before) * right
        own = np.where((row < rows) & (column < columns), row * columns + column, -2)
        won = winner[:, :, None, :, None] == own.astype(np.int8).reshape(1, 1, down, 1, right, 1)
        total = total + jnp.where(won, gradient[:, :, None, :, None], 0)
    image = total.reshape(len(place), blocks[0] * down, blocks[1] * right, place.shape[-1])
    (top, _), (left, _) = box.padding
    return (image[:, top : top + box.size[0], left : left + box.size[1]],)


_max_pool = jax.custom_vjp(_max_primal, nondiff_argnums=(1,))
_max_pool.defvjp(_max_forward, _max_backward)

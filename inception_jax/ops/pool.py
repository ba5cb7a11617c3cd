"""Max and average pooling, as maxima and sums of shifted slices on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from inception_jax.ops import plain, rules
from inception_jax.ops.plain import Padding, Pair


class Windows(NamedTuple):
    """Where pooling looks: the image's height and width, and the windows over them."""

    size: Pair
    window: Pair
    strides: Pair
    padding: tuple[Pair, Pair]


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
    if not rules.on_cpu(lowering) or window[0] * window[1] > rules.MAX_POOL_PIXELS:
        return plain.max_pool(x, window, strides, padding)
    return _max_pool(x, _windows(x, window, strides, padding))


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
    if not rules.on_cpu(lowering):
        return plain.sum_pool(x, window, strides, padding) * share
    if tuple(window) == x.shape[1:3] and not any(map(any, padding)):
        return jnp.sum(x, (1, 2), keepdims=True) * share
    box = _windows(x, window, strides, padding)
    return (_sum_pool if box.strides == (1, 1) else _sum_primal)(x, box) * share


def _windows(x: Array, window: Pair, strides: Pair, padding: Padding) -> Windows:
    (above, below), (left, right) = padding
    (rows, columns), (down, across) = window, strides
    pads = ((above, below), (left, right))
    return Windows((x.shape[1], x.shape[2]), (rows, columns), (down, across), pads)


def _max_primal(x: Array, box: Windows) -> Array:
    return reduce(jnp.maximum, _slices(x, box, plain.lowest(x.dtype)))


@plain.whole("box")
def _max_forward(x: Array, box: Windows) -> tuple[Array, Array]:
    """The maxima, and for each the place in its window of the first pixel that has it."""
    slices = _slices(x, box, plain.lowest(x.dtype))
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
    near = Windows((0, 0), (back[0] + 1, back[1] + 1), (1, 1), (edges[0], edges[1]))
    total = jnp.zeros((), cotangent.dtype)
    both = zip(_slices(cotangent, near, 0), _slices(place, near, -1), strict=True)
    for index, (gradient, winner) in enumerate(both):
        above, before = divmod(index, near.window[1])
        row = np.arange(down)[:, None] + (back[0] - above) * down
        column = np.arange(right) + (back[1] - before) * right
        own = np.where((row < rows) & (column < columns), row * columns + column, -2)
        won = _spread(winner) == own.astype(np.int8).reshape(1, 1, down, 1, right, 1)
        total = total + jnp.where(won, _spread(gradient), 0)
    image = total.reshape(len(place), blocks[0] * down, blocks[1] * right, place.shape[-1])
    (top, _), (left, _) = box.padding
    return (image[:, top : top + box.size[0], left : left + box.size[1]],)


def _spread(x: Array) -> Array:
    """x[N,H,W,C] as [N,H,1,W,1,C], for the pixels of every block."""
    return x[:, :, None, :, None]


_max_pool = jax.custom_vjp(_max_primal, nondiff_argnums=(1,))
_max_pool.defvjp(_max_forward, _max_backward)


def _sum_primal(x: Array, box: Windows) -> Array:
    """Sums over windows, first along the width, then along the height."""
    (rows, columns), (down, right), (height, width) = box.window, box.strides, box.padding
    wide = Windows(box.size, (1, columns), (1, right), ((0, 0), width))
    tall = Windows(box.size, (rows, 1), (down, 1), (height, (0, 0)))
    return reduce(jnp.add, _slices(reduce(jnp.add, _slices(x, wide, 0)), tall, 0))


def _sum_backward(box: Windows, _: None, cotangent: Array) -> tuple[Array]:
    """Sums at stride 1 are their own transpose, with the complementary border."""
    sides = zip(box.window, box.padding, strict=True)
    above, left = ((size - 1 - before, size - 1 - after) for size, (before, after) in sides)
    return (_sum_primal(cotangent, box._replace(padding=(above, left))),)


_sum_pool = jax.custom_vjp(_sum_primal, nondiff_argnums=(1,))
_sum_pool.defvjp(lambda x, box: (_sum_primal(x, box), None), _sum_backward)


def _slices(x: Array, box: Windows, fill: float) -> Iterator[Array]:
    """For each place in a window, in reading order, the pixels of all windows at that place."""
    padded = plain.bordered(x, box.padding, fill)
    batch, height, width, channels = padded.shape
    (rows, columns), (down, right) = box.window, box.strides
    for i in range(rows):
        for j in range(columns):
            bottom = i + (height - rows) // down * down + 1
            end = j + (width - columns) // right * right + 1
            ends = (batch, bottom, end, channels)
            yield lax.slice(padded, (0, i, j, 0), ends, (1, down, right, 1))

"""Convolutions of stride 1 by Winograd's minimal filtering: fewer products, all in matrices.

F(m, r) gives m outputs of r taps for m + r - 1 products: A'[(G g) * (B' d)] for m + r - 1 inputs d
and taps g (Lavin and Gray 2016, arXiv:1509.09308). Here it runs along height and width, and the
products are summed over channels as one batch of matrix products. The matrices are Toom and Cook's
for the points below. Float32 differs from the direct sum by 4e-7 of it for three taps and 3e-6
for seven (root mean square).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.polynomial.polynomial import polyfromroots

from inception_jax.ops.plain import Padding, Pair, bordered, whole

_POINTS = np.array([0, 1, -1, 1 / 2, -2, 2, -1 / 2, 3 / 4, -4 / 3])


class Transforms(NamedTuple):
    """A[n, m], B'[n, n] and G[n, r] of F(m, r), where n = m + r - 1."""

    outputs: np.ndarray
    inputs: np.ndarray
    taps: np.ndarray


@functools.cache
def transforms(outputs: int, taps: int) -> Transforms:
    """The matrices of F(outputs, taps), of at most 10 products; the last point is infinity."""
    points = _POINTS[: outputs + taps - 2]
    others = [np.delete(points, index) for index in range(len(points))]
    scales = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    a, g = (np.vander(points, count, increasing=True) for count in (outputs, taps))
    b = [*(np.append(polyfromroots(rest), 0) for rest in others), polyfromroots(points)]
    first, last = (np.eye(1, count, count - 1) for count in (outputs, taps))
    g = g / np.reshape(scales, (-1, 1))
    return Transforms(np.vstack([a, first]), np.array(b), np.vstack([g, last]))


@whole("padding", "tile")
def conv(x: Array, kernel: Array, padding: Padding, tile: Pair) -> Array:
    """Convolution of x[N,H,W,C] with kernel[h,w,C,F] in tiles of so many rows and columns."""
    taps = kernel.shape[:2]
    sides = zip(x.shape[1:3], padding, taps, strict=True)
    size = [length + sum(pads) - count + 1 for length, pads, count in sides]
    windows = _windows(x, [before for before, _ in padding], size, taps, tile)
    found = jnp.einsum("ptc,pcf->ptf", _flat(windows), _weights(kernel, _taps(tile, taps)))
    return _joined(found.reshape(*windows.shape[:-1], -1), size, taps, tile)


@whole("padding", "tile")
def gradients(
    x: Array, kernel: Array, cotangent: Array, padding: Padding, tile: Pair
) -> tuple[Array, Array]:
    """Gradients by x[N,H,W,C] and kernel[h,w,C,F]; both read the same windows of the cotangent.

    The first is the cotangent's convolution with the kernel turned round. The second is the
    transposed algorithm: x in tiles takes the place of the outputs.
    """
    taps, size = kernel.shape[:2], x.shape[1:3]
    starts = [count - 1 - before for count, (before, _) in zip(taps, padding, strict=True)]
    windows = _windows(cotangent, starts, size, taps, tile)
    turned = _taps(tile, taps)[:, ::-1].astype(x.dtype)
    found = jnp.einsum("ptf,pcf->ptc", _flat(windows), _weights(kernel, turned))
    counts = windows.shape[3:5]
    ends = [(0, n * m - side) for n, m, side in zip(counts, tile, size, strict=True)]
    tiles = _split(bordered(x, ends), "outputs", taps, tile, counts)
    sums = jnp.einsum("ptc,ptf->pcf", _flat(tiles), _flat(windows))
    filters = jnp.dot(turned.T, sums.reshape(len(turned), -1)).reshape(kernel.shape)
    return _joined(found.reshape(*windows.shape[:-1], -1), size, taps, tile), filters


def _taps(tile: Pair, taps: Sequence[int]) -> np.ndarray:
    """G of both axes: every product's factors of the taps of a kernel, [q*p, h*w]."""
    tall, wide = (transforms(m, r).taps for m, r in zip(tile, taps, strict=True))
    return np.einsum("pa,qb->qpab", tall, wide).reshape(len(tall) * len(wide), -1)


def _weights(kernel: Array, matrix: np.ndarray) -> Array:
    """A matrix[q*p, h*w] times every pair of channels of a kernel[h,w,C,F]: [q*p,C,F]."""
    rows = jnp.dot(matrix.astype(kernel.dtype), kernel.reshape(matrix.shape[1], -1))
    return rows.reshape(-1, *kernel.shape[2:])


def _windows(
    x: Array, starts: Sequence[int], size: Sequence[int], taps: Sequence[int], tile: Pair
) -> Array:
    """Transformed windows [q,p,N,tiles,tiles,C], one for every tile of outputs[N,*size,F]."""
    counts = [-(-length // m) for length, m in zip(size, tile, strict=True)]
    sides = zip(starts, counts, tile, taps, x.shape[1:3], strict=True)
    ends = [(start, n * m + r - 1 - length - start) for start, n, m, r, length in sides]
    return _split(bordered(x, ends), "inputs", taps, tile, counts)


def _flat(x: Array) -> Array:
    """[q,p,N,tiles,tiles,C] as [q*p, N*tiles*tiles, C], what one batch of products takes."""
    return x.reshape(x.shape[0] * x.shape[1], -1, x.shape[-1])


def _split(x: Array, part: str, taps: Sequence[int], tile: Pair, counts: Sequence[int]) -> Array:
    """Every tile of x[N,H,W,C] times a matrix[products, pixels] along height and along width."""
    for axis, m, r, count in zip((1, 3), tile, taps, counts, strict=True):
        x = _transformed(x, part, m, r, axis, count) if m + r > 2 else x[None]
    return x


@whole("part", "m", "r", "axis", "count")
def _transformed(x: Array, part: str, m: int, r: int, axis: int, count: int) -> Array:
    """Every tile along one axis times a matrix of F(m, r): its products come first."""
    total = jnp.zeros((), x.dtype)
    for pixel, column in enumerate(getattr(transforms(m, r), part).T.astype(x.dtype)):
        seen = lax.slice_in_dim(x, pixel, pixel + (count - 1) * m + 1, m, axis)[None]
        total = total + _along(column, 0, seen.ndim) * seen
    return total


def _joined(x: Array, size: Sequence[int], taps: Sequence[int], tile: Pair) -> Array:
    """Outputs [N,*size,F] of the products [q,p,N,tiles,tiles,F]."""
    for axis, m, r, length in zip(
        (3, 1), reversed(tile), reversed(taps), reversed(size), strict=True
    ):
        x = _merged(x, m, r, axis, length) if m + r > 2 else x[0]
    return x


@whole("m", "r", "axis", "length")
def _merged(x: Array, m: int, r: int, axis: int, length: int) -> Array:
    """Outputs along one axis, from the products of its tiles, which come first."""
    each = zip(transforms(m, r).outputs.astype(x.dtype), jnp.expand_dims(x, axis + 2), strict=True)
    total = functools.reduce(jnp.add, [_along(row, axis + 1, x.ndim) * part for row, part in each])
    total = total.reshape(*total.shape[:axis], -1, *total.shape[axis + 2 :])
    return lax.slice_in_dim(total, 0, length, axis=axis)


def _along(vector: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    """The vector as an array of so many dimensions, all of them one but `axis`."""
    return vector.reshape([-1 if index == axis else 1 for index in range(dimensions)])

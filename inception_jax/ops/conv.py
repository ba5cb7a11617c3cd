"""Convolution, and the forms of it and of its gradients that are fast on a CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from inception_jax.ops import plain, rules, winograd
from inception_jax.ops.plain import Padding, Pair
from inception_jax.ops.rules import Site


def conv(
    x: Array, kernel: Array, *, strides: Pair, padding: Padding, lowering: str = "auto"
) -> Array:
    """Convolution of x[N,H,W,C] with kernel[h,w,C,F], in their common type.

    With kernel[h,w,1,C*m] every channel has kernels of its own (depthwise): first the m of
    channel 0, then those of channel 1, and so on.

    Args:
        x: images or features.
        kernel: the filters, cross-correlated with `x`.
        strides: steps along height and width.
        padding: zeros before and after, for height and for width.
        lowering: "auto" (the fast form for this platform and shape) or "xla" (the plain op).
            "auto" on a CPU has reverse-mode derivatives of any order, and forward over reverse,
            but not `jax.jvp` of the convolution itself; "xla" has all.
    """
    (above, below), (left, right) = padding
    height, width, channels, filters = kernel.shape
    pairs, size = ((above, below), (left, right)), (x.shape[1], x.shape[2])
    steps, grouped = (strides[0], strides[1]), channels != x.shape[-1]
    site = Site((height, width), steps, pairs, channels, filters, size, x.dtype.name)
    if not rules.on_cpu(lowering) or grouped:
        return plain.conv(x, kernel, strides, pairs)
    form = rules.choose(rules.FORWARD, site)
    if form == "product":
        return _product(x, kernel)
    if form == rules.choose(rules.GRADIENT, site) == "plain":
        return plain.conv(x, kernel, strides, pairs)
    return _conv(x, kernel, site)


def _product(x: Array, kernel: Array) -> Array:
    """1x1 convolution; in two dimensions, so that its gradients need no transposed copies."""
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[2:]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _primal(x: Array, kernel: Array, site: Site) -> Array:
    form = rules.choose(rules.FORWARD, site)
    if form == "winograd":
        return winograd.conv(x, kernel, site.padding, site.tile)
    if form == "rows":
        return _row_products(x, kernel, site.padding)
    if form == "padded_width":
        step = site.strides[1]
        wide = plain.conv(x, kernel, site.strides, (site.padding[0], (step, 0)))
        return wide[:, :, 1:]
    return plain.conv(x, kernel, site.strides, site.padding)


def _row_products(x: Array, kernel: Array, padding: tuple[Pair, Pair]) -> Array:
    """A convolution at stride 1 as one matrix product for each of the kernel's rows."""
    rows, columns, channels, filters = kernel.shape
    padded = plain.bordered(x, padding, 0)
    height, width = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
    wide = jnp.concatenate([padded[:, :, j : j + width] for j in range(columns)], -1)
    size = columns * channels
    products = [
        jnp.dot(wide[:, i : i + height].reshape(-1, size), kernel[i].reshape(size, filters))
        for i in range(rows)
    ]
    return sum(products[1:], products[0]).reshape(-1, height, width, filters)


def _forward(x: Array, kernel: Array, site: Site) -> tuple[Array, tuple[Array, Array]]:
    return _primal(x, kernel, site), (x, kernel)


def _backward(site: Site, residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    form = rules.choose(rules.GRADIENT, site)
    if form == "winograd":
        return winograd.gradients(x, kernel, cotangent, site.padding, site.tile)
    direct = lambda x, kernel: plain.conv(x, kernel, site.strides, site.padding)  # noqa: E731
    _, transpose = jax.vjp(direct, x, kernel)
    image_gradient, gradient = transpose(cotangent)
    if form == "shifted":
        gradient = _shifted_products(x, cotangent, site).astype(kernel.dtype)
    return image_gradient, gradient


_conv = jax.custom_vjp(_primal, nondiff_argnums=(2,))
_conv.defvjp(_forward, _backward)


def _shifted_products(x: Array, cotangent: Array, site: Site) -> Array:
    """The filter gradient of an unpadded convolution, one matrix product for each kernel pixel."""
    batch, height, width, filters = cotangent.shape
    (down, right), channels = site.strides, x.shape[-1]
    columns = cotangent.reshape(-1, filters)

    def pixel(row: int, column: int) -> Array:
        end = (row + (height - 1) * down + 1, column + (width - 1) * right + 1)
        seen = lax.slice(x, (0, row, column, 0), (batch, *end, channels), (1, down, right, 1))
        rows = seen.reshape(-1, channels)
        return jnp.einsum("mc,mf->cf", rows, columns, preferred_element_type=jnp.float32)

    products = [pixel(i, j) for i in range(site.kernel[0]) for j in range(site.kernel[1])]
    return jnp.stack(products).reshape(*site.kernel, channels, filters)

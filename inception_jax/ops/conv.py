"""Convolution, and the forms of it and of its gradients that are fast on a CPU."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

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
        return _row_products(x, kernel, site)
    if form == "padded_width":
        step = site.strides[1]
        wide = plain.conv(x, kernel, site.strides, (site.padding[0], (step, 0)))
        return wide[:, :, 1:]
    return plain.conv(x, kernel, site.strides, site.padding)


def _row_products(x: Array, kernel: Array, site: Site) -> Array:
    """A convolution as one matrix product for each of the kernel's rows."""
    columns, (down, right) = site.kernel[1], site.strides
    padded = plain.bordered(x, site.padding)
    bottom, end = (side - n + 1 for side, n in zip(padded.shape[1:3], site.kernel, strict=True))
    wide = jnp.concatenate([padded[:, :, j : j + end : right] for j in range(columns)], -1)
    parts = [
        _product(wide[:, i : i + bottom : down], row.reshape(1, 1, -1, site.filters))
        for i, row in enumerate(kernel)
    ]
    return functools.reduce(jnp.add, parts)


def _forward(x: Array, kernel: Array, site: Site) -> tuple[Array, tuple[Array, Array]]:
    return _primal(x, kernel, site), (x, kernel)


def _backward(site: Site, residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    form = rules.choose(rules.GRADIENT, site)
    if form == "winograd":
        return winograd.gradients(x, kernel, cotangent, site.padding, site.tile)
    direct = lambda x, kernel: plain.conv(x, kernel, site.strides, site.padding)  # noqa: E731
    image_gradient, gradient = jax.vjp(direct, x, kernel)[1](cotangent)
    if form == "rows":
        _, transpose = jax.vjp(lambda kernel: _row_products(x, kernel, site), kernel)
        (gradient,) = transpose(cotangent)
    return image_gradient, gradient


_conv = jax.custom_vjp(_primal, nondiff_argnums=(2,))
_conv.defvjp(_forward, _backward)

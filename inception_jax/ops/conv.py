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
            but `jax.jvp` of the convolution itself only where its form is plain or a product;
            "xla" has all.
    """
    h, w, channels, filters = kernel.shape
    site = Site((h, w), strides, tuple(padding), channels, filters, x.shape[1:3], x.dtype.name)
    form = rules.choose(site) if rules.on_cpu(lowering) and channels == x.shape[-1] else "plain"
    if form == "plain":
        return plain.conv(x, kernel, strides, padding)
    return _product(x, kernel) if form == "product" else _conv(x, kernel, site)


def _product(x: Array, kernel: Array) -> Array:
    """Every pixel's vector times a matrix [-1,F]; so the gradients need no transposed copies."""
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel.reshape(x.shape[-1], -1))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _primal(x: Array, kernel: Array, site: Site) -> Array:
    form = rules.choose(site)
    if form == "winograd":
        return winograd.conv(x, kernel, site.padding, site.tile)
    if form == "patches":
        pixels = plain.slices(x, site.kernel, site.strides, site.padding)
        return _product(jnp.concatenate(list(pixels), -1), kernel)
    return plain.conv(x, kernel, site.strides, (site.padding[0], (site.strides[1], 0)))[:, :, 1:]


def _backward(site: Site, residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    if rules.choose(site) == "winograd":
        return winograd.gradients(*residuals, cotangent, site.padding, site.tile)
    direct = functools.partial(plain.conv, strides=site.strides, padding=site.padding)
    return jax.vjp(direct, *residuals)[1](cotangent)


_conv = jax.custom_vjp(_primal, nondiff_argnums=(2,))
_conv.defvjp(lambda x, kernel, site: (_primal(x, kernel, site), (x, kernel)), _backward)

"""Convolution, and the forms of it and of its filter gradient that are fast on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from inception_jax.ops import plain, rules
from inception_jax.ops.rules import Site


def conv(
    x: Array,
    kernel: Array,
    *,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
    lowering: str = "auto",
) -> Array:
    """Convolution of x[N,H,W,C] with kernel[h,w,C,F], in their common type.

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
    height, width, channels, _ = kernel.shape
    pairs = ((above, below), (left, right))
    site = Site((height, width), (strides[0], strides[1]), pairs, channels)
    if not rules.on_cpu(lowering):
        return plain.conv(x, kernel, strides, pairs)
    form = rules.choose(rules.FORWARD, site)
    if form == "product":
        return _product(x, kernel)
    if form == rules.choose(rules.FILTER_GRADIENT, site) == "plain":
        return plain.conv(x, kernel, strides, pairs)
    return _conv(x, kernel, site)


def _product(x: Array, kernel: Array) -> Array:
    """1x1 convolution; in two dimensions, so that its gradients need no transposed copies."""
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[2:]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _primal(x: Array, kernel: Array, site: Site) -> Array:
    if rules.choose(rules.FORWARD, site) == "padded_width":
        step = site.strides[1]
        wide = plain.conv(x, kernel, site.strides, (site.padding[0], (step, 0)))
        return wide[:, :, 1:]
    return plain.conv(x, kernel, site.strides, site.padding)


def _forward(x: Array, kernel: Array, site: Site) -> tuple[Array, tuple[Array, Array]]:
    return _primal(x, kernel, site), (x, kernel)


def _backward(site: Site, residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    _, transpose = jax.vjp(lambda x: plain.conv(x, kernel, site.strides, site.padding), x)
    form = rules.choose(rules.FILTER_GRADIENT, site)
    if form == "shifted":
        gradient = _shifted_products(x, cotangent, site)
    else:
        extra = int(form == "padded_width")
        wide = jnp.pad(cotangent, ((0, 0), (0, 0), (extra, 0), (0, 0)))
        before = (site.padding[0][0], site.padding[1][0] + extra * site.strides[1])
        gradient = _filter_gradient(x, wide, site, before, swap=form == "swapped")
    return transpose(cotangent)[0], gradient.astype(kernel.dtype)


_conv = jax.custom_vjp(_primal, nondiff_argnums=(2,))
_conv.defvjp(_forward, _backward)


def _filter_gradient(
    x: Array, cotangent: Array, site: Site, before: tuple[int, int], *, swap: bool
) -> Array:
    """The filter gradient as a convolution of x[N,H,W,C] by the cotangent[N,H',W',F].

    Channels take the role of the batch, the batch that of the channels. `swap` names width first;
    the values are the same.
    """
    after = (
        size + (steps - 1) * stride - length - start
        for size, steps, stride, length, start in zip(
            site.kernel, cotangent.shape[1:3], site.strides, x.shape[1:3], before, strict=True
        )
    )
    padding = tuple(zip(before, after, strict=True))
    order = (2, 1) if swap else (1, 2)
    return lax.conv_general_dilated(
        x,
        cotangent,
        (1, 1),
        tuple(padding[axis - 1] for axis in order),
        rhs_dilation=tuple(site.strides[axis - 1] for axis in order),
        dimension_numbers=lax.ConvDimensionNumbers(
            (3, 0, *order), (3, 0, *order), (2, 3, *(axis - 1 for axis in order))
        ),
    )


def _shifted_products(x: Array, cotangent: Array, site: Site) -> Array:
    """The filter gradient of an unpadded convolution, one matrix product for each kernel pixel."""
    batch, height, width, filters = cotangent.shape
    channels = x.shape[-1]
    down, right = site.strides
    columns = cotangent.reshape(-1, filters)

    def pixel(row: int, column: int) -> Array:
        seen = lax.slice(
            x,
            (0, row, column, 0),
            (batch, row + (height - 1) * down + 1, column + (width - 1) * right + 1, channels),
            (1, down, right, 1),
        )
        rows = seen.reshape(-1, channels)
        return jnp.einsum("mc,mf->cf", rows, columns, preferred_element_type=jnp.float32)

    products = [pixel(i, j) for i in range(site.kernel[0]) for j in range(site.kernel[1])]
    return jnp.stack(products).reshape(*site.kernel, channels, filters)

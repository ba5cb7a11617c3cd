"""Batch normalisation, with the ReLU that follows it."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from inception_jax.ops import plain, rules

Kept = tuple[Array, Array, Array, Array, Array]


def batch_norm_train(
    x: Array,
    scale: Array | None,
    bias: Array,
    *,
    epsilon: float,
    relu: bool,
    groups: int = 1,
    lowering: str = "auto",
) -> tuple[Array, Array, Array]:
    """Normalise x[N,...,C] by its own statistics, computed in float32.

    Args:
        x: features.
        scale: factor [C], or None for one.
        bias: offset [C].
        epsilon: added to the variance.
        relu: whether ReLU follows.
        groups: how many runs of N / groups consecutive examples are normalised apart, as if each
            were on its own device.
        lowering: "auto" or "xla"; see `ops.conv`.

    Returns:
        y like x; mean f32[C] and biased variance f32[C], averaged over the groups.

    Raises:
        ValueError: N is not a multiple of `groups`.
    """
    if x.shape[0] % groups:
        raise ValueError(f"a batch of {x.shape[0]} cannot be split into {groups} equal groups")
    cpu = rules.on_cpu(lowering)
    form = _normalise if cpu else plain.batch_norm_train
    factor = jnp.ones_like(bias) if scale is None else scale
    parts = x.reshape(groups, -1, *x.shape[-1 if cpu else 1 :])
    apart = lambda part: form(part, factor, bias, epsilon, relu)  # noqa: E731
    # two dimensions matter: XLA sums products [1,M,C] over M 30 times slower than [M,C]
    found = jax.vmap(apart)(parts) if groups > 1 else [one[None] for one in apart(parts[0])]
    y, mean, var = found
    return y.reshape(x.shape), mean.mean(0), var.mean(0)


def _forward(
    x: Array, scale: Array, bias: Array, epsilon: float, relu: bool
) -> tuple[tuple[Array, Array, Array], Kept]:
    """Batch norm of x[M,C] over M; y like x, mean and variance f32[C]; and what it keeps."""
    mean, var = _moments(x)
    kept = x, mean, lax.rsqrt(var + epsilon), scale, bias
    y = jax.nn.relu(_affine(*kept)) if relu else _affine(*kept)
    return (y.astype(x.dtype), mean, var), kept


def _backward(
    epsilon: float, relu: bool, kept: Kept, cotangents: tuple[Array, ...]
) -> tuple[Array, Array, Array]:
    """Gradients from the input alone: the sign of the output is computed again, not kept."""
    x, mean, inverse, scale, bias = kept
    total, product = _sums(cotangents[0], kept, relu=relu)
    # Per channel: the gradient of x is a * gradient + b * x + c.
    a = inverse * scale.astype(jnp.float32)
    b = (2.0 * cotangents[2] - a * jnp.square(inverse) * product) / x.shape[0]
    c = (cotangents[1] - a * total) / x.shape[0] - b * mean
    passed = _passed(cotangents[0], kept, relu)
    grad_x = a[None] * passed + b[None] * x.astype(jnp.float32) + c[None]
    return grad_x.astype(x.dtype), (product * inverse).astype(scale.dtype), total.astype(bias.dtype)


@plain.whole()
def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance f32[C] of x[M,C] over M."""
    wide = x.astype(jnp.float32)
    mean = _sum(wide) / x.shape[0]
    return mean, _sum(jnp.square(wide - mean[None])) / x.shape[0]


@plain.whole("relu")
def _sums(gradient: Array, kept: Kept, relu: bool) -> tuple[Array, Array]:
    """Over M: of the gradient that ReLU lets through, and of it times x - mean."""
    x, mean, *_ = kept
    passed = _passed(gradient, kept, relu)
    total = _sum(passed)
    return total, _sum(passed * x.astype(jnp.float32)) - mean * total


def _passed(gradient: Array, kept: Kept, relu: bool) -> Array:
    """f32[M,C], the gradient that ReLU lets through."""
    wide = gradient.astype(jnp.float32)
    return jnp.where(_affine(*kept) > 0, wide, 0.0) if relu else wide


_normalise = jax.custom_vjp(lambda *given: _forward(*given)[0], nondiff_argnums=(3, 4))
_normalise.defvjp(_forward, _backward)


def _sum(x: Array) -> Array:
    """Sum of x[M,C] over M: of every eight rows in the loop that makes them, then as a product."""
    # of one device alone, where M is split over all of them
    count = math.gcd(8, len(x), len(x) // jax.device_count())
    rows = x.reshape(-1, count, x.shape[1])
    sums = functools.reduce(jnp.add, [rows[:, index] for index in range(count)])
    # one row of ones alone would be made a sum, which is three programs for XLA to compile
    return jnp.dot(jnp.ones((4, len(sums)), x.dtype), sums, precision="highest")[0]


def _affine(x: Array, mean: Array, inverse: Array, scale: Array, bias: Array) -> Array:
    """(x - mean) * inverse * scale + bias for x[M,C] and statistics [C], in float32."""
    factor = inverse * scale.astype(jnp.float32)
    return (x - mean[None]) * factor[None] + bias.astype(jnp.float32)[None]

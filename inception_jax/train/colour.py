"""The published colour distortion, on the device: the host draws the amounts, nothing more.

As TensorFlow's `adjust_*` operations on images in [0, 1] (facts: slim's and the 2016 trainer's
preprocessing). The result is not rounded to bytes, as it is not there either.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def distort(images: jax.Array, draws: jax.Array | None, orders: tuple[str, ...]) -> jax.Array:
    """f32[N, H, W, C] in [-1, 1] with new colours, clipped; grey images keep saturation and hue.

    Args:
        images: C is 1 or 3.
        draws: f32[N, 5] of `data.colour.draw`: which order, then the amounts; None changes nothing.
        orders: those it was drawn from, of `data.colour.ORDERS`.
    """
    if draws is None:
        return images
    which, *amounts = (column.reshape(-1, 1, 1, 1) for column in draws.T)
    amount = dict(zip("BSHC", amounts, strict=True))
    colours = (images + 1.0) / 2.0
    for place in zip(*orders, strict=True):  # the letters that the orders have in one place
        before = colours
        for letter in dict.fromkeys(place):
            if images.shape[-1] == 1 and letter in "SH":
                continue
            mine = jnp.asarray([other == letter for other in place])[which.astype(jnp.int32)]
            colours = jnp.where(mine, _STEPS[letter](before, amount[letter]), colours)
    return jnp.clip(colours, 0.0, 1.0) * 2.0 - 1.0


def adjust_brightness(image: jax.Array, delta: jax.Array) -> jax.Array:
    """Adds `delta` to every value."""
    return image + delta


def adjust_contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """Scales every channel about its own mean."""
    mean = image.mean(axis=(-3, -2), keepdims=True)
    return (image - mean) * factor + mean


def adjust_saturation(image: jax.Array, factor: jax.Array) -> jax.Array:
    """Scales S of HSV, at most to 1; value and hue stay."""
    value = image.max(axis=-1, keepdims=True)
    spread = value - image.min(axis=-1, keepdims=True)
    most = jnp.where(spread > 0, value / jnp.where(spread > 0, spread, 1.0), jnp.inf)
    return value - (value - image) * jnp.minimum(factor, most)  # beyond `most` S would pass 1


def adjust_hue(image: jax.Array, turn: jax.Array) -> jax.Array:
    """Turns H of HSV by `turn` of a full circle; value and saturation stay."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = image.max(axis=-1)
    spread = value - image.min(axis=-1)
    turn = jnp.asarray(turn).reshape(-1, *[1] * (value.ndim - 1)) if jnp.ndim(turn) else turn
    safe = jnp.where(spread > 0, spread, 1.0)
    sixth = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth = sixth + 6 * turn
    # each channel is the value less the spread times a trapezoid of the hue, out of phase
    channels = [
        value - spread * jnp.clip(jnp.minimum((sixth + n) % 6, 4 - (sixth + n) % 6), 0, 1)
        for n in (5, 3, 1)
    ]
    return jnp.stack(channels, axis=-1)


_STEPS = {
    "B": adjust_brightness,
    "S": adjust_saturation,
    "H": adjust_hue,
    "C": adjust_contrast,
}

"""The published Inception distortion: a random box, a random filter, a mirror, random colours.

Source: the slim and research/inception preprocessing of tensorflow/models (facts/paper.md 3.3). The
colours are drawn here and changed on the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inception_jax.data import colour, region

ATTEMPTS = 100
# The four filters that take turns; PIL antialiases those that shrink, TensorFlow's do not.
INTERPOLATIONS = {
    "four": (
        Image.Resampling.BILINEAR,
        Image.Resampling.NEAREST,
        Image.Resampling.BICUBIC,
        Image.Resampling.BOX,
    ),
    "bilinear": (Image.Resampling.BILINEAR,),
}


def distort(
    encoded: bytes | Path | np.ndarray,
    channels: int,
    where: str,
    rng: np.random.Generator,
    data: Any,
) -> dict[str, np.ndarray]:
    """An image, distorted as Inception's training does.

    The box is drawn in shares of the image, so that the same generator takes the same part of it at
    every resolution.

    Args:
        encoded: as `region.cut` takes it.
        channels: 1 or 3.
        where: names the image in an error.
        rng: of this example in this epoch.
        data: `config.data`; image_size, box_*, mirror, interpolation, colour and decoder are read.

    Returns:
        "image": uint8[size, size, channels] and, unless `data.colour` is "none", "colour": f32[5].

    Raises:
        CorruptImage, UserError: of `region.cut`.
    """

    def choose(height: int, width: int) -> region.Box:
        top, left, bottom, right = distorted_box(
            width / height, rng, data.box_area, data.box_aspect, data.box_covered
        )
        return left * width, top * height, right * width, bottom * height

    # drawn before the box, whose number of draws varies
    filters = INTERPOLATIONS[data.interpolation]
    method = filters[rng.integers(len(filters))]
    mirrored = rng.random() < 0.5 and data.mirror
    orders = colour.ORDERS[data.colour]
    colours = {"colour": colour.draw(rng, orders)} if orders else {}
    image = region.cut(
        encoded, channels, where, choose, data.image_size, method, data.decoder, mirrored=mirrored
    )
    return {"image": image, **colours}


def distorted_box(
    aspect: float,
    rng: np.random.Generator,
    areas: tuple[float, float] = (0.05, 1.0),
    ratios: tuple[float, float] = (0.75, 1.33),
    covered: float = 0.1,
) -> tuple[float, float, float, float]:
    """(top, left, bottom, right) in 0..1 of a random box; the whole image after 100 misses.

    As `tf.image.sample_distorted_bounding_box` without object boxes: the aspect ratio is uniform,
    then the height is uniform in what the area allows, then the place. A box that covers less than
    `covered` of the image is drawn again, for without boxes the whole image counts as the object.

    Args:
        aspect: width / height of the image, in pixels.
        rng: where the randomness comes from.
        areas: smallest and largest share of the image.
        ratios: smallest and largest width / height of the box, in pixels.
        covered: least share of the object, here the image, that the box holds.
    """
    for _ in range(ATTEMPTS):
        ratio = rng.uniform(*ratios) / aspect  # of the box's width share to its height share
        low, high = (np.sqrt(area / ratio) for area in areas)
        high = min(high, 1.0, 1.0 / ratio)
        tall = rng.uniform(min(low, high), high)
        wide = tall * ratio
        top, left = rng.random() * (1 - tall), rng.random() * (1 - wide)
        if tall * wide >= max(areas[0], covered) - 1e-12:
            return top, left, min(top + tall, 1.0), min(left + wide, 1.0)
    return 0.0, 0.0, 1.0, 1.0

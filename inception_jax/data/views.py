"""What the network sees of an image in evaluation: one view, or GoogLeNet's 12 or 144 crops.

GoogLeNet's paper (1409.4842, section 7) gives the 144: the short side is resized to 256, 288, 320
and 352 for a 224 px network; of the left, centre and right squares (top, centre and bottom of an
upright image) come the four corners and the centre at 224 px and the whole square resized to it,
each with its mirror image: 4 x 3 x 6 x 2. Here the scales are in proportion to the network's input:
299 px has 342, 384, 427 and 470. The Inception-v3 paper reports 12 crops without saying which; ours
are the centre square of the first scale: 1 x 1 x 6 x 2.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from inception_jax import errors
from inception_jax.data import transforms

COUNTS = (1, 12, 144)
RESIZES = ("crop", "short_side")
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_SCALES = (256 / 224, 288 / 224, 320 / 224, 352 / 224)
_OF_A_SQUARE = 6 * 2  # corners, centre and whole, each with its mirror image


@dataclasses.dataclass(frozen=True)
class Rule:
    """How an image comes to the network's input: the keys `data.eval_*` of a config.

    Attributes:
        size: side of the network's input, px.
        crop: of a single view: side of the central crop as a share of the image.
        resize: of a single view: "crop" cuts this share of both sides and resizes it, aspect not
            kept (the paper's code); "short_side" resizes the short side to size / crop, aspect
            kept, and cuts the central square (torchvision, timm).
        interpolation: "bilinear" or "bicubic".
    """

    size: int
    crop: float = 1.0
    resize: str = "crop"
    interpolation: str = "bilinear"

    @property
    def method(self) -> Image.Resampling:
        """PIL's filter."""
        return INTERPOLATIONS[self.interpolation]


def rule(data: Any) -> Rule:
    """The rule of `config.data`.

    Raises:
        UsageError: a choice that does not exist.
    """
    for key, known in (("eval_resize", RESIZES), ("eval_interpolation", INTERPOLATIONS)):
        if data[key] not in known:
            raise errors.unknown(f"data.{key}", data[key], known)
    return Rule(data.image_size, data.eval_crop, data.eval_resize, data.eval_interpolation)


def single(image: np.ndarray, how: Rule) -> np.ndarray:
    """uint8[H, W, C] -> uint8[size, size, C], the view that single-crop accuracy is about."""
    if how.resize == "short_side":
        return _centre(_resize_short(image, round(how.size / how.crop), how.method), how.size)
    rows, columns = transforms.central_box(image.shape[0], image.shape[1], how.crop)
    return transforms.resize(image[rows, columns], how.size, method=how.method)


def crops(image: np.ndarray, how: Rule, count: int, *, square: bool = False) -> np.ndarray:
    """uint8[H, W, C] -> uint8[K, size, size, C]: the views whose probabilities are averaged.

    Args:
        image: of any size.
        how: its `size` and `interpolation` are read.
        count: 12 or 144.
        square: the three squares of the image are one, which is then taken once; the average over
            the 48 views is that over the 144.

    Returns:
        The views, then their mirror images; K is `distinct(count, square)`.
    """
    views: list[np.ndarray] = []
    for side in scales(how.size)[: 1 if count == 12 else None]:
        scaled = _resize_short(image, side, how.method)
        along = max(scaled.shape[:2]) - side
        starts = (along // 2,) if square or count == 12 else (0, along // 2, along)
        for start in starts:
            part = slice(start, start + side)
            upright = scaled.shape[0] > scaled.shape[1]
            views += _six(scaled[part] if upright else scaled[:, part], how)
    stacked = np.stack(views)
    return np.concatenate([stacked, stacked[:, :, ::-1]])


def scales(size: int) -> tuple[int, ...]:
    """Short side of the image for a network's input, px: (342, 384, 427, 470) for 299."""
    return tuple(round(size * scale) for scale in _SCALES)


def distinct(count: int, square: bool) -> int:
    """How many views `crops` gives."""
    return len(_SCALES) * _OF_A_SQUARE if count == 144 and square else count


def _six(square: np.ndarray, how: Rule) -> list[np.ndarray]:
    """Four corners, centre, and the whole square resized."""
    last = len(square) - how.size
    corners = [
        square[top : top + how.size, left : left + how.size]
        for top in (0, last)
        for left in (0, last)
    ]
    whole = transforms.resize(square, how.size, method=how.method)
    return [*corners, _centre(square, how.size), whole]


def _centre(image: np.ndarray, size: int) -> np.ndarray:
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def _resize_short(image: np.ndarray, side: int, method: Image.Resampling) -> np.ndarray:
    """Resized so that the short side has `side` px; the long one is cut to whole px."""
    height, width = image.shape[:2]
    short = min(height, width)
    shape = (side * height // short, side * width // short)
    return transforms.resize(image, shape, method=method)

"""Crops, resizing, shifts and flips on the host: uint8[H, W, C], or a batch of them."""

from __future__ import annotations

import numpy as np
from PIL import Image

SHIFT = 1 / 8  # of the side, at most, either way
# Random numbers that `shift_flip` uses for an example: down, across, flip.
UNIFORMS = 3


def resize(
    image: np.ndarray,
    size: int | tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
    method: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """uint8[H, W, C] -> uint8[size, size, C]; antialiased where it shrinks, aspect not kept.

    Args:
        image: C is 1 or 3.
        size: side of the result, or its height and width, px.
        box: (left, top, right, bottom) of what to take, px, may lie between pixels; None is all.
        method: PIL's filter.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if box is None and image.shape[:2] == (height, width):
        return image
    plain = image[..., 0] if image.shape[2] == 1 else image
    resized = Image.fromarray(plain).resize((width, height), method, box=box)
    return np.asarray(resized).reshape((height, width, image.shape[2]))


def central_box(height: int, width: int, crop: float) -> tuple[slice, slice]:
    """(rows, columns) of the centre that has `crop` of each side, as in the paper's code."""
    rows, columns = max(1, round(crop * height)), max(1, round(crop * width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def flip(images: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Mirrors every image of uint8[N, H, W, C] whose last uniform is under one half.

    Args:
        images: a batch, not changed.
        uniforms: f64[N, UNIFORMS].
    """
    mirrored = uniforms[:, -1] < 0.5
    result = images.copy()
    result[mirrored] = images[mirrored, :, ::-1]
    return result


def shift_flip(images: np.ndarray, uniforms: np.ndarray, crop: float) -> np.ndarray:
    """Random shift of up to 1/8 of the side, random mirror, then the central crop of evaluation.

    What a shift uncovers is the image reflected at its border. The shift is a share of the side,
    rounded to whole pixels of the stored image: whatever it is resized to afterwards, the same
    uniforms see the same part of it.

    Args:
        images: uint8[N, H, W, C], of the stored resolution.
        uniforms: f64[N, UNIFORMS] in [0, 1).
        crop: share of each side to keep.

    Returns:
        uint8[N, round(crop H), round(crop W), C].
    """
    height, width = images.shape[1:3]
    rows, columns = central_box(height, width, crop)
    down = np.round((2 * uniforms[:, 0] - 1) * SHIFT * height).astype(np.int64)
    across = np.round((2 * uniforms[:, 1] - 1) * SHIFT * width).astype(np.int64)
    y = _reflect(np.arange(rows.start, rows.stop) + down[:, None], height)
    x = _reflect(np.arange(columns.start, columns.stop) + across[:, None], width)
    mirrored = uniforms[:, 2] < 0.5
    x[mirrored] = x[mirrored, ::-1]
    # one take over flat pixel numbers is several times faster than three index arrays
    example = np.arange(len(images))[:, None, None] * (height * width)
    pixel = example + y[:, :, None] * width + x[:, None, :]
    return images.reshape(-1, images.shape[3])[pixel]


def _reflect(index: np.ndarray, count: int) -> np.ndarray:
    """Indices outside 0..count-1 mirrored back at the border, which is not repeated."""
    if count == 1:
        return np.zeros_like(index)
    index = np.abs(index)
    return np.where(index >= count, 2 * (count - 1) - index, index)

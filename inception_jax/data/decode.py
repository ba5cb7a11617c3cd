"""Encoded images to pixels, the same for every file format and colour mode."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from inception_jax import errors


class CorruptImage(errors.UserError):
    """An image that is there but cannot be decoded."""


# Formats that PIL reads and the image folder looks for.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)


def decode(encoded: bytes | Path, channels: int, where: str) -> np.ndarray:
    """uint8[H, W, channels] of an encoded image.

    CMYK becomes RGB, 16 bits become 8 (the upper ones), transparency is dropped, an animation gives
    its first picture. The orientation in EXIF is not applied: no published recipe does so.

    Args:
        encoded: the bytes, or the file that has them.
        channels: 1 for grey, 3 for RGB, whatever the file has.
        where: names the image in an error.

    Raises:
        CorruptImage: not an image, cut short, or of a kind that has no 8-bit form.
        UserError: the file is gone, or may not be read.
    """
    with opened(encoded, where) as image:
        pixels = np.asarray(to_mode(image, mode_of(channels)))
    return pixels[..., None] if channels == 1 else pixels


def mode_of(channels: int) -> str:
    """PIL's name of 1 or 3 channels of 8 bits."""
    return "L" if channels == 1 else "RGB"


@contextlib.contextmanager
def opened(encoded: bytes | Path, where: str) -> Iterator[Image.Image]:
    """The image, of which only the header is read yet; what fails within is `decode`'s error."""
    try:
        stream = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
        with Image.open(stream) as image:
            yield image
    except (FileNotFoundError, PermissionError) as error:
        raise errors.UserError(
            f"cannot read the image {where}: {error.strerror}; is the data still there?"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptImage(
            f"cannot read the image {where}: {reason}; replace or remove it"
        ) from error


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image as "L" or "RGB", from any mode that PIL reads."""
    if image.mode.startswith("I"):  # 16-bit grey, which PIL's own conversion clips at 255
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 0xFFFF:
            raise ValueError(f"pixels from {wide.min()} to {wide.max()}, expected at most 16 bits")
        image = Image.fromarray((wide >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # PIL warns where a step is left out
    return image if image.mode == mode else image.convert(mode)

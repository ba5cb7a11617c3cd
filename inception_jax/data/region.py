"""A part of an encoded image at the size that is wanted, without decoding more than it takes.

A JPEG stores 8x8 blocks of frequencies: leaving out the upper ones gives the image at 1/2, 1/4 or
1/8 of its size for less work than the whole. That is used as far as the part stays larger than the
result, so that at most a factor of two is left to the filter.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inception_jax import errors
from inception_jax.data import transforms
from inception_jax.data.decode import CorruptImage, decode, mode_of, opened, to_mode

Box = tuple[float, float, float, float]  # left, top, right, bottom, px
Choose = Callable[[int, int], Box]  # of height and width
DECODERS = ("pil", "opencv")
_REDUCTIONS = (8, 4, 2)
_FILTERS = {
    Image.Resampling.BILINEAR: "INTER_LINEAR",
    Image.Resampling.NEAREST: "INTER_NEAREST",
    Image.Resampling.BICUBIC: "INTER_CUBIC",
    Image.Resampling.BOX: "INTER_AREA",
}


def cut(
    encoded: bytes | Path | np.ndarray,
    channels: int,
    where: str,
    choose: Choose,
    size: int,
    method: Image.Resampling,
    decoder: str = "pil",
    *,
    mirrored: bool = False,
) -> np.ndarray:
    """uint8[size, size, channels] of the box that `choose` takes from the image.

    Args:
        encoded: an encoded image, the file that has it, or uint8[H, W, channels].
        channels: 1 or 3.
        where: names the image in an error.
        choose: gives the box for the image's height and width.
        size: side of the result, px.
        method: the filter; "pil" antialiases where it shrinks, "opencv" does not, as TensorFlow's
            resizing in the published code did not.
        decoder: "pil", or "opencv" for twice the speed (the extra `fast`).
        mirrored: swap left and right.

    Raises:
        CorruptImage: not an image, or cut short.
        UserError: the file is gone, or OpenCV is not installed.
    """
    if decoder == "opencv":
        return _by_opencv(encoded, channels, where, choose, size, method, mirrored)
    if isinstance(encoded, np.ndarray):
        result = transforms.resize(encoded, size, choose(*encoded.shape[:2]), method)
        return result[:, ::-1] if mirrored else result
    with opened(encoded, where) as image:
        width, height = image.size
        box = choose(height, width)
        factor = reduction(box, size)
        if factor > 1 and image.format == "JPEG" and image.mode in ("L", "RGB"):
            image.draft(image.mode, (width // factor, height // factor))
        pixels = np.asarray(to_mode(image, mode_of(channels)))
    pixels = pixels[..., None] if channels == 1 else pixels
    result = transforms.resize(pixels, size, _scaled(box, pixels, height, width), method)
    return result[:, ::-1] if mirrored else result


def reduction(box: Box, size: int) -> int:
    """The largest of 8, 4, 2 and 1 that leaves the box no smaller than the result."""
    side = min(box[2] - box[0], box[3] - box[1])
    return next((factor for factor in _REDUCTIONS if side >= factor * size), 1)


def _scaled(box: Box, pixels: np.ndarray, height: int, width: int) -> Box:
    """The box in the pixels of an image that was decoded at another size."""
    rows, columns = pixels.shape[:2]
    left, right = (min(x * columns / width, columns) for x in (box[0], box[2]))
    top, bottom = (min(y * rows / height, rows) for y in (box[1], box[3]))
    return left, top, right, bottom


def has_opencv() -> bool:
    """Whether the decoder "opencv" can be used."""
    return importlib.util.find_spec("cv2") is not None


@functools.cache
def opencv() -> Any:
    """The module `cv2`, told to leave threads to the pipeline.

    Raises:
        UserError: it is not installed.
    """
    try:
        import cv2  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise errors.UserError(
            "data.decoder is 'opencv', but OpenCV is not installed; pip install "
            "'inception-jax[fast]', or set data.decoder to pil"
        ) from error
    cv2.setNumThreads(0)
    return cv2


def _by_opencv(
    encoded: bytes | Path | np.ndarray,
    channels: int,
    where: str,
    choose: Choose,
    size: int,
    method: Image.Resampling,
    mirrored: bool,
) -> np.ndarray:
    cv2 = opencv()
    if isinstance(encoded, Path):
        try:
            encoded = encoded.read_bytes()
        except OSError as error:
            raise errors.UserError(f"cannot read the image {where}: {error.strerror}") from error
    shape = encoded.shape[:2] if isinstance(encoded, np.ndarray) else jpeg_shape(encoded)
    if shape is None:  # not a plain JPEG: PIL knows what it is
        assert isinstance(encoded, bytes)
        encoded = decode(encoded, channels, where)
        shape = encoded.shape[:2]
    box = choose(*shape)
    pixels = encoded
    if isinstance(pixels, bytes):
        flags = _flags(channels, reduction(box, size)) | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(pixels, np.uint8), flags)
        if pixels is None:
            raise CorruptImage(f"cannot read the image {where}: not a whole JPEG; replace it")
    left, top, right, bottom = _scaled(box, pixels, *shape)
    rows = slice(int(top), max(round(bottom), int(top) + 1))
    columns = slice(int(left), max(round(right), int(left) + 1))
    part = cv2.resize(
        pixels[rows, columns], (size, size), interpolation=getattr(cv2, _FILTERS[method])
    )
    if channels == 3 and isinstance(encoded, bytes):
        part = cv2.cvtColor(part, cv2.COLOR_BGR2RGB)
    if mirrored:  # NumPy's view would make the copy into the batch several times slower
        part = cv2.flip(part, 1)
    return part.reshape(size, size, channels)


def _flags(channels: int, factor: int) -> int:
    """OpenCV's way to ask for BGR or grey at a fraction of the size."""
    kind = "COLOR" if channels == 3 else "GRAYSCALE"
    return getattr(opencv(), f"IMREAD_REDUCED_{kind}_{factor}" if factor > 1 else f"IMREAD_{kind}")


def jpeg_shape(encoded: bytes) -> tuple[int, int] | None:
    """(height, width) of a whole JPEG of one or three components, from its header; else None.

    OpenCV fills what a file cut short does not have with grey and says nothing, and turns CMYK into
    other colours than PIL: both are left to PIL.
    """
    if encoded[:2] != b"\xff\xd8" or encoded.rstrip(b"\0")[-2:] != b"\xff\xd9":
        return None
    at = 2
    while at + 9 < len(encoded) and encoded[at] == 0xFF:
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = (int.from_bytes(encoded[at + i : at + i + 2], "big") for i in (5, 7))
            plain = encoded[at + 4] == 8 and encoded[at + 9] in (1, 3) and height and width
            return (height, width) if plain else None
        at += 1 if marker == 0xFF else 2 + length
    return None

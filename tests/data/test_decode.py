from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inception_jax.data.decode import decode
from inception_jax.errors import UserError

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_png_is_exact():
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(COLOUR)), 3, "x"), COLOUR)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_has_the_channels_asked_for(mode, channels):
    image = Image.fromarray(COLOUR).convert(mode)
    pixels = decode(encoded(image, "TIFF"), channels, "x")
    assert pixels.shape == (6, 9, channels)
    assert pixels.dtype == np.uint8
    if mode in ("RGBA", "CMYK") and channels == 3:
        np.testing.assert_array_equal(pixels, COLOUR)


def test_cmyk_jpeg_has_the_colours_of_its_rgb():
    flat = Image.new("RGB", (16, 16), (200, 60, 30))
    pixels = decode(encoded(flat.convert("CMYK"), "JPEG", quality=95), 3, "x")
    assert np.abs(pixels.astype(int) - [200, 60, 30]).max() <= 6


def test_sixteen_bits_become_the_upper_eight():
    wide = np.array([[0, 255, 256, 65535]], np.uint16)
    pixels = decode(encoded(Image.fromarray(wide)), 1, "x")
    np.testing.assert_array_equal(pixels[..., 0], [[0, 0, 1, 255]])


def test_orientation_in_exif_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.fromarray(COLOUR), "JPEG", exif=exif), 3, "x").shape == (6, 9, 3)


def test_transparent_palette_is_read_without_a_warning():
    image = Image.fromarray(COLOUR).convert("P")
    png = encoded(image, "PNG", transparency=bytes(range(200)))
    assert decode(png, 3, "x").shape == (6, 9, 3)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "float"])
def test_corrupt_images_are_named(damage):
    whole = encoded(Image.fromarray(np.tile(COLOUR, (20, 20, 1))), "JPEG")
    floats = encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    content = {"empty": b"", "text": b"not an image", "cut": whole[:400], "float": floats}[damage]
    with pytest.raises(UserError, match=r"cannot read the image cats/7\.jpg: ") as caught:
        decode(content, 3, "cats/7.jpg")
    assert "\n" not in str(caught.value)

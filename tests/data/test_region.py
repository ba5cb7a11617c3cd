"""Parts of encoded images, by both decoders, against Pillow's own decoding of the whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inception_jax.data import region
from inception_jax.data.decode import CorruptImage
from inception_jax.errors import UserError

BILINEAR = Image.Resampling.BILINEAR
DECODERS = [
    "pil",
    pytest.param("opencv", marks=pytest.mark.skipif(
        not __import__("importlib.util").util.find_spec("cv2"), reason="the extra `fast`")),
]  # fmt: skip


def smooth(height, width):
    """A picture without fine detail, on which all filters agree."""
    y, x = np.mgrid[:height, :width]
    planes = [x / width, y / height, (x / width + y / height) / 2]
    return (np.stack(planes, axis=2) * 250).astype(np.uint8)


def encoded(image, mode="RGB", kind="JPEG"):
    buffer = io.BytesIO()
    quality = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(image).convert(mode).save(buffer, kind, **quality)
    return buffer.getvalue()


def whole(height, width):
    return 0.0, 0.0, float(width), float(height)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("shape", [(60, 90), (300, 500), (900, 700)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_is_that_part_of_the_image(decoder, shape, channels):
    image = smooth(*shape)
    box = (shape[1] * 0.2, shape[0] * 0.1, shape[1] * 0.9, shape[0] * 0.8)
    found = region.cut(encoded(image), channels, "x", lambda h, w: box, 40, BILINEAR, decoder)
    plain = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
    wanted = np.asarray(plain.resize((40, 40), BILINEAR, box=box)).reshape(40, 40, channels)
    assert np.abs(found.astype(int) - wanted).max() <= 6


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_mirror_swaps_left_and_right(decoder, channels):
    content = encoded(smooth(30, 50))
    one, other = (
        region.cut(content, channels, "x", whole, 20, BILINEAR, decoder, mirrored=mirrored)
        for mirrored in (False, True)
    )
    np.testing.assert_array_equal(one[:, ::-1], other)
    assert (one != other).any()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_every_kind_of_jpeg_has_its_colours(decoder, mode):
    found = region.cut(
        encoded(np.full((20, 30, 3), (200, 60, 30), np.uint8), mode), 3, "x", whole, 8, BILINEAR,
        decoder,
    )  # fmt: skip
    grey = round(0.299 * 200 + 0.587 * 60 + 0.114 * 30)
    wanted = [grey] * 3 if mode == "L" else [200, 60, 30]
    assert np.abs(found.astype(int) - wanted).max() <= 6


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2)])
def test_tiny_jpegs(decoder, shape):
    image = np.full((*shape, 3), 128, np.uint8)
    found = region.cut(encoded(image), 3, "x", whole, 16, BILINEAR, decoder)
    assert found.shape == (16, 16, 3)
    assert np.abs(found.astype(int) - 128).max() <= 2


@pytest.mark.parametrize("decoder", DECODERS)
def test_sixteen_bits_and_other_formats(decoder):
    wide = io.BytesIO()
    Image.fromarray(np.full((9, 9), 0x8000, np.uint16)).save(wide, "PNG")
    for content in (wide.getvalue(), encoded(np.full((9, 9, 3), 128, np.uint8), kind="PNG")):
        found = region.cut(content, 3, "x", whole, 8, BILINEAR, decoder)
        assert (found == 128).all()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_corrupt_images_are_named(decoder, damage):
    good = encoded(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8))
    content = {"empty": b"", "text": b"not an image", "cut": good[: len(good) // 2]}[damage]
    with pytest.raises(CorruptImage, match=r"cannot read the image cats/7\.jpg: "):
        region.cut(content, 3, "cats/7.jpg", whole, 8, BILINEAR, decoder)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_vanished_file_is_no_corrupt_image(decoder, tmp_path):
    with pytest.raises(UserError) as caught:
        region.cut(tmp_path / "gone.jpg", 3, "gone.jpg", whole, 8, BILINEAR, decoder)
    assert not isinstance(caught.value, CorruptImage)


@pytest.mark.parametrize("decoder", DECODERS)
def test_orientation_in_exif_is_not_applied(decoder):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(smooth(40, 80)).save(buffer, "JPEG", exif=exif)
    found = region.cut(buffer.getvalue(), 3, "x", whole, 8, BILINEAR, decoder)
    assert found[0, -1, 0] > 200  # red still grows to the right
    assert found[-1, 0, 0] < 50


@pytest.mark.parametrize(
    ("side", "size", "factor"),
    [(299, 299, 1), (597, 299, 1), (598, 299, 2), (2392, 299, 8), (9999, 299, 8), (10, 299, 1)],
)
def test_no_more_is_left_out_than_the_result_can_spare(side, size, factor):
    assert region.reduction((0, 0, side, side), size) == factor


def test_the_header_tells_the_size():
    assert region.jpeg_shape(encoded(smooth(31, 47))) == (31, 47)
    assert region.jpeg_shape(encoded(smooth(31, 47), "CMYK")) is None
    assert region.jpeg_shape(encoded(smooth(31, 47), kind="PNG")) is None
    assert region.jpeg_shape(b"\xff\xd8\xff\xd9") is None

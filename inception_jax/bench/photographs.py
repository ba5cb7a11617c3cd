"""The photographs that input is measured on, as both sides read them."""

from __future__ import annotations

import io

from PIL import Image

WIDTH, HEIGHT, QUALITY = 500, 375, 90


def jpegs() -> tuple[bytes, ...]:
    """JPEGs of 500 x 375 px."""
    from sklearn.datasets import load_sample_images

    found = []
    for pixels in load_sample_images().images:
        image = Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        found.append(buffer.getvalue())
    return tuple(found)

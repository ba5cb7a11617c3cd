"""What the host draws for the colour distortion; `train.colour` applies it on the device."""

from __future__ import annotations

import numpy as np

BRIGHTNESS = 32 / 255
SATURATION = CONTRAST = (0.5, 1.5)
HUE = 0.2  # of a full turn, at most, either way

# data.colour -> the published orders of brightness, saturation, hue and contrast, one of which is
# drawn for each example. "trainer" is research/inception's (2016), which takes turns by thread;
# "fast" is slim's default, without hue and contrast.
ORDERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "fast": ("BS", "SB"),
    "trainer": ("BSHC", "BCSH"),
    "slim": ("BSHC", "SBCH", "CHBS", "HSCB"),
}
WIDTH = 5


def draw(rng: np.random.Generator, orders: tuple[str, ...]) -> np.ndarray:
    """f32[5]: which of the orders, then brightness, saturation, hue and contrast.

    Drawn in one fixed order, so that the amounts do not depend on the order they are applied in.
    """
    return np.array(
        [
            rng.integers(len(orders)),
            rng.uniform(-BRIGHTNESS, BRIGHTNESS),
            rng.uniform(*SATURATION),
            rng.uniform(-HUE, HUE),
            rng.uniform(*CONTRAST),
        ],
        np.float32,
    )

"""Which form of a convolution a CPU runs: by shape, the first rule that matches.

Speeds are GFLOP/s on one core of an AMD EPYC, batch 8 (64 below 32 px), jax 0.10.2, float32; large
matrix products reach about 105. What no rule names is the plain XLA op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax

LOWERINGS = ("auto", "xla")


class Site(NamedTuple):
    """What the choice of a convolution's form may look at."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    channels: int

    @property
    def unpadded(self) -> bool:
        """Whether no border is added on any side."""
        return not any(map(any, self.padding))

    @property
    def pointwise(self) -> bool:
        """Whether every output pixel reads one input pixel, its own."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and self.unpadded


Table = tuple[tuple[str, Callable[[Site], bool]], ...]

FORWARD: Table = (
    # 1x1: a convolution 62-88, a product 78-103; its filter gradient 13-41 and 42-94.
    ("product", lambda site: site.pointwise),
    # 149² 32->32: 20 and 95; 73² 80->192: 35 and 98; 35² 288->384 stride 2: 61 and 75;
    # 24² 16->32: 45 and 85. One column is enough; it costs 1 / width.
    ("padded_width", lambda site: site.unpadded and site.kernel[1] > 1 and site.channels >= 8),
)

FILTER_GRADIENT: Table = (
    # 17² 160->160 7x1: 46 and 90; 8² 384->384 3x1: 52 and 101: height and width change roles.
    ("swapped", lambda site: site.kernel[1] == 1 and site.strides == (1, 1)),
    # 73² 80->192: 18 and 61, 33 with padded width; 35² 288->384 stride 2: 55, 97 and 71.
    ("shifted", lambda site: site.unpadded and site.channels >= 64),
    # 149² 32->32: 17 and 58 (batch 4: 19 and 73); 24² 16->32: 30 and 57.
    ("padded_width", lambda site: site.unpadded and site.channels >= 8),
)

MAX_POOL_PIXELS = 25
"""Largest window that is pooled as shifted slices; beyond it `reduce_window` compiles faster."""


def choose(table: Table, site: Site) -> str:
    """Name of the form for `site`; "plain" where no rule matches."""
    return next((name for name, matches in table if matches(site)), "plain")


def on_cpu(lowering: str) -> bool:
    """Whether the CPU forms apply: `lowering` is "auto" and the default device is a CPU.

    Decided while tracing: both forms in one program (`lax.platform_dependent`) would double what
    is traced and would keep the residuals of both for the gradient.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"lowering must be one of {', '.join(LOWERINGS)}, not {lowering!r}")
    device = jax.config.values["jax_default_device"]
    platform = getattr(device, "platform", device) or jax.default_backend()
    return lowering == "auto" and platform == "cpu"

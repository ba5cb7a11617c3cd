"""Which form of a convolution a CPU runs: by shape, the first rule that matches.

Speeds are GFLOP/s on one core of an AMD EPYC, batch 8 (64 below 32 px), jax 0.10.2, float32; large
matrix products reach about 105. What no rule names is the plain XLA op.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax

LOWERINGS = ("auto", "xla")


class Site(NamedTuple):
    """What the choice of a convolution's form may look at."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[tuple[int, int], ...]
    channels: int
    filters: int
    size: tuple[int, ...]
    dtype: str

    @property
    def unpadded(self) -> bool:
        """Whether no border is added on any side."""
        return not any(map(any, self.padding))

    @property
    def pointwise(self) -> bool:
        """Whether every output pixel reads one input pixel, its own."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and self.unpadded

    @property
    def first(self) -> bool:
        """Whether it is the 3x3 at stride 1 with which a small network begins."""
        plain = self.strides == (1, 1) and self.dtype == "float32"
        image = self.channels in (1, 3) and min(self.size) >= 24
        return plain and image and self.kernel == (3, 3)

    @property
    def tile(self) -> tuple[int, int]:
        """Outputs of a Winograd tile, rows by columns; (1, 1) where no tile was measured."""
        large = {(3, 3): (3, 3)} if min(self.size) >= 64 else {}
        return (TILES | large).get(self.kernel, (1, 1))

    @property
    def filtered(self) -> bool:
        """Whether Winograd's products outweigh what its transforms cost.

        That takes channels to sum over, and more tiles than a kernel has pixels to transform: at 8²
        448->384 the gradients take three times as long.
        """
        wide = min(self.channels, self.filters) >= 32 and math.prod(self.size) >= 200
        plain = self.strides != (1, 1) or self.dtype != "float32"
        covered = all(max(p) < n for p, n in zip(self.padding, self.kernel, strict=True))
        return wide and covered and not plain and self.tile != (1, 1)


# Kernel -> tile: the faster of those measured.
TILES = {(3, 3): (2, 2), (5, 5): (4, 4), (1, 7): (1, 4), (7, 1): (4, 1)}

FORMS: tuple[tuple[str, Callable[[Site], bool]], ...] = (
    # 73² 80->192: 80 and 118, its gradients 59 and 105; 35² 96->96: 78 and 98, 62 and 100; 5x5
    # 48->64: 77 and 95, 49 and 107; 17² 192->192 1x7: 74 and 120, 62 and 105; 147² 32->64,
    # gradients: 54 and 66; in FLOP of the direct sum.
    ("winograd", lambda site: site.filtered),
    # 1x1: a convolution 62-88, a product 78-103; its filter gradient 13-41 and 42-94.
    ("product", lambda site: site.pointwise),
    # Batch 64: 28² 1->16: 3 and 7; 32² 3->16: 9 and 10. The gradients are direct.
    ("patches", lambda site: site.first),
    # 149² 32->32: 20 and 95; 73² 80->192: 35 and 98; 35² 288->384 stride 2: 61 and 75;
    # 24² 16->32: 45 and 85. One column is enough; it costs 1 / width. The gradients are direct.
    ("padded_width", lambda site: site.unpadded and site.kernel[1] > 1 and site.channels >= 8),
)

POOL_PIXELS = 25
"""Largest window that is pooled as shifted slices; beyond it `reduce_window` compiles faster."""


def choose(site: Site) -> str:
    """Name of the form for `site`; "plain" where no rule matches."""
    return next((name for name, matches in FORMS if matches(site)), "plain")


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

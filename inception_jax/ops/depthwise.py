"""Depthwise convolution."""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array, lax


def depthwise_conv(
    x: Array,
    kernel: Array,
    *,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
    lowering: str = "auto",
) -> Array:
    """Convolution of every channel of x[N,H,W,C] with kernels of its own, kernel[h,w,1,C*m].

    Args:
        x: images or features.
        kernel: the m kernels of channel 0, then those of channel 1, and so on.
        strides: steps along height and width.
        padding: zeros before and after, for height and for width.
        lowering: "auto" or "xla", which are the same.
    """
    del lowering
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        tuple(padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )

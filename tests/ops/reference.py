"""Direct loops in NumPy float64: the meaning of every op, written without JAX."""

from __future__ import annotations

import numpy as np


def windows(x, window, strides, padding, fill):
    """Every window of x[N,H,W,C] as [N,H',W',h,w,C]."""
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), *padding, (0, 0)), constant_values=fill)
    _, height, width, _ = padded.shape
    tops = range(0, height - window[0] + 1, strides[0])
    lefts = range(0, width - window[1] + 1, strides[1])
    return np.stack(
        [
            np.stack([padded[:, t : t + window[0], w : w + window[1]] for w in lefts], axis=1)
            for t in tops
        ],
        axis=1,
    )


def conv(x, kernel, strides, padding):
    seen = windows(x, kernel.shape[:2], strides, padding, 0.0)
    return np.einsum("nabhwc,hwcf->nabf", seen, np.asarray(kernel, np.float64))


def max_pool(x, window, strides, padding):
    return windows(x, window, strides, padding, -np.inf).max((3, 4))


def avg_pool(x, window, strides, padding, count_include_pad):
    total = windows(x, window, strides, padding, 0.0).sum((3, 4))
    if count_include_pad:
        return total / (window[0] * window[1])
    return total / windows(np.ones_like(x), window, strides, padding, 0.0).sum((3, 4))


def batch_norm(x, scale, bias, mean, var, epsilon, relu):
    y = (np.asarray(x, np.float64) - mean) / np.sqrt(var + epsilon)
    y = y * (1.0 if scale is None else scale) + bias
    return np.maximum(y, 0.0) if relu else y

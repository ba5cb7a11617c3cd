"""Convolution, pooling and batch normalisation, and how each platform computes them.

Networks call these and never say how. `lowering="xla"` is the plain XLA op everywhere;
`lowering="auto"` is the same on accelerators and, on a CPU, the form measured fastest.
"""

from __future__ import annotations

from inception_jax.ops.conv import conv
from inception_jax.ops.norm import batch_norm_train
from inception_jax.ops.plain import batch_norm_eval
from inception_jax.ops.pool import avg_pool, max_pool

__all__ = ["avg_pool", "batch_norm_eval", "batch_norm_train", "conv", "max_pool"]

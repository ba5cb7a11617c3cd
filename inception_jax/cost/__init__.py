"""What a network costs, counted from its traced program without running it.

    cost.count(models.create("inception_v3"), image_size=299)   # Cost(params, macs, depth, layers)

A MAC is one multiply-add of a convolution or a dense layer, and counts as 1 (2 FLOPs); additions
of biases, batch norm, activations and pooling are not counted (docs/cost.md).
"""

from __future__ import annotations

from inception_jax.cost.count import Cost, LayerCost, count
from inception_jax.cost.measure import StepTimes, step_seconds

__all__ = ["Cost", "LayerCost", "StepTimes", "count", "step_seconds"]

"""Random weights of any network, and a session's memory of them."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import numpy as np

from inception_jax import models, weights
from inception_jax.weights.load import _shapes


def random_like(model: Any, seed: int = 0) -> dict[str, Any]:
    """Variables with every leaf random, f32; kernels of He's size, variances around 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key in ("var", "scale"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        sd = math.sqrt(2 / math.prod(leaf.shape[:-1])) if path[-1].key == "kernel" else 0.2
        return (rng.standard_normal(leaf.shape, np.float32) * sd).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, _shapes(model))


@functools.cache
def _tensors(source: str, network: str | None, aux: bool) -> dict[str, np.ndarray]:
    rules = weights.find_rules(source, network)
    options = dict(rules.options)
    options["aux"] = {**options.get("aux", {}), "sites": rules.heads if aux else ()}
    model = models.create(rules.model, num_classes=1000, **options)
    return weights.export(source, model, random_like(model))


def tensors(source: str, network: str | None = None, aux: bool = True) -> dict[str, np.ndarray]:
    """Random tensors by a source's names."""
    return dict(_tensors(source, network, aux))

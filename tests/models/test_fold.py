"""Folded batch norm: every network says the same, and none is left."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import models

SIZES = {"inception_small": 12, "inception_v3": 75, "inception_v3_paper": 75, "inception_v2": 75}
SLOW = pytest.mark.slow
NETWORKS = [n if n == "inception_small" else pytest.param(n, marks=SLOW) for n in models.names()]


def drawn(model, size: int, channels: int = 3) -> tuple[Any, jax.Array]:
    """Variables whose statistics, scales and biases are nobody's default."""
    shape = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), shape))
    rng = np.random.default_rng(0)

    def draw(path, leaf) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            return rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        return (
            rng.uniform(0.5, 1.5, leaf.shape)
            if name in ("var", "scale")
            else rng.normal(0, 0.3, leaf.shape)
        )

    drawn = jax.tree_util.tree_map_with_path(draw, shapes)
    images = rng.uniform(-1, 1, (2, size, size, channels))
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (drawn, images))


def check(model, size: int) -> None:
    variables, images = drawn(model, size)
    folded, values = models.fold_batch_norm(model, variables)
    whole = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    found = jax.jit(lambda v, x: folded.apply(v, x, train=False))(values, images)
    assert len(found.aux) == len(whole.aux)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))
        assert float(jnp.std(b)) > 0
    assert set(values) == {"params"}
    if model.network.batch_norm:
        names = {path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(values)}
        assert names == {"kernel", "bias"}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_folded_is_the_same_function(name):
    model = models.create(name, num_classes=7, aux=models.aux_sites(name))
    check(model, SIZES.get(name, 64))


@pytest.mark.parametrize(
    "options",
    [{"bn_scale": False, "bn_epsilon": 0.1},
     {"aux": {"sites": ("Mixed_6b",), "dense_batch_norm": False}},
     {"aux": {"sites": ("Mixed_6b",), "batch_norm": False}}],
    ids=str,
)  # fmt: skip
def test_options_of_batch_norm(options):
    check(models.create("inception_small", num_classes=5, **options), 12)


def test_folding_inside_jit_and_in_bfloat16():
    model = models.create("inception_small", num_classes=5, dtype="bfloat16")
    variables, images = drawn(model, 12)

    @jax.jit
    def evaluated(values, x) -> jax.Array:
        folded, values = models.fold_batch_norm(model, values)
        out: Any = folded.apply(values, x, train=False)
        return out.logits

    whole: Any = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    atol = 0.05 * float(jnp.abs(whole.logits).max())
    np.testing.assert_allclose(evaluated(variables, images), whole.logits, atol=atol)


def test_a_network_without_batch_norm_comes_back_as_it_is():
    model = models.create("googlenet", num_classes=5)
    variables = {"params": {"Logits": {"bias": jnp.zeros(5)}}}
    assert models.fold_batch_norm(model, variables) == (model, variables)

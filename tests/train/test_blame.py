"""The layer in which a loss or a gradient was not finite first."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from standin import SHAPE, Network, batch, config

from inception_jax import models
from inception_jax.train import mesh as meshes
from inception_jax.train import state, step
from inception_jax.train.blame import Blame, NotFinite, layers


def poisoned(network, cfg, shape, path):
    """A state, before its first step, of which one parameter holds an infinity."""
    start = jax.tree.map(np.array, jax.device_get(state.create(network, cfg, shape)))
    owner, names = start.params, path.split("/")
    for name in names[:-1]:
        owner = owner[name]
    owner[names[-1]].flat[0] = np.inf
    return start


@pytest.mark.parametrize(
    ("path", "number", "count"),
    [("stem/kernel", 4, 1), ("norm/bias", 3, 1), ("logits/kernel", 1, 2)],
)
def test_the_forward_pass_is_named_by_its_first_layer(path, number, count):
    cfg = config(train__accumulate=count)
    network, mesh = Network(dropout=0.2), meshes.create(cfg)
    now = jax.device_put(poisoned(network, cfg, SHAPE, path), meshes.replicated(mesh))
    placed = meshes.put(batch(), mesh)
    now, metrics = step.train_step(network, cfg, mesh)(now, placed, 0.1)
    found = NotFinite(1, float(metrics["loss"]), np.asarray(metrics["leaf_finite"]))
    blame = Blame(network, cfg, SHAPE, mesh, lambda: "step 3 in /somewhere")
    message = str(blame(found, now, placed))
    layer = path.split("/")[0]
    assert f"at step 1, first in the output of {layer} as the forward pass goes" in message
    assert f"({number} of 4 layers have such a one)" in message
    assert "last good checkpoint: step 3 in /somewhere" in message
    assert "\n" not in message


def test_the_backward_pass_is_named_by_its_first_layer():
    cfg = config()
    network = Network(auxiliary=False, batch_norm=False)
    now = state.create(network, cfg, SHAPE)
    bad = {"stem/kernel", "stem/bias", "logits/kernel"}
    leaves = np.array([name not in bad for name in state.leaf_names(now.params)])
    blame = Blame(network, cfg, SHAPE, meshes.create(cfg), lambda: "none")
    message = str(blame(NotFinite(7, 1.5, leaves), now, {}))
    assert "gradient is not finite at step 7, first in that of logits as the backward" in message
    assert "(3 of 6 parameters have such a one)" in message


def test_layers_are_those_that_own_parameters():
    names = ["stem/kernel", "a/b/kernel", "a/b/bias", "a/c/scale", "stem/bias"]
    assert layers(names) == ["stem", "a/b", "a/c"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides", "size", "path"),
    [
        ("inception_small", {"remat": True}, 16, "Mixed_6b/"),
        ("googlenet", {"width": 0.02}, 33, "Inception_4c/"),  # without batch norm
    ],
)
def test_the_networks_of_the_package_name_their_layers(name, overrides, size, path):
    network = models.create(name, num_classes=7, **{"width": 0.1} | overrides)
    cfg, shape = config(data__image_size=size), (size, size, 3)
    order = state.forward_order(network, shape)
    kernel = next(leaf for leaf in order if leaf.startswith(path) and leaf.endswith("kernel"))
    mesh = meshes.create(cfg)
    stopped = poisoned(network, cfg, shape, kernel).replace(step=np.int32(-1))
    images = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    placed = meshes.put(batch() | {"image": images}, mesh)
    blame = Blame(network, cfg, shape, mesh, lambda: "none")
    message = str(blame(NotFinite(1, np.nan, np.zeros(0)), stopped, placed))
    assert f"first in the output of {kernel.removesuffix('/kernel')} as the forward" in message

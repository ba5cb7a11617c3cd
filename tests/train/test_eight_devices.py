"""The package's own layers on one, two and eight devices, which need a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The layers take statistics, logits and the loss in float32 whatever the activations are: here
# that name stands for float64, so that all of the program is in double precision.
PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
jnp.float32 = jnp.float64
from standin import batch, config
from inception_jax.models.network import InceptionNetwork
from inception_jax.models.options import read
from inception_jax.models.spec import AuxSpec, Block, Conv, Named, Network, Norm, Pool
from inception_jax.train import mesh as meshes, state, step

STEM = (
    Named("Conv", Conv(6, 3, stride=2, padding="VALID")), Named("MaxPool", Pool("max")),
    Named("Norm", Norm()),
)
BODY = (
    Block("Mixed", "grid35", (
        (Conv(4), Conv(5, 3, strategy="asymmetric")),
        (Pool("avg"), Conv(4)),
    )),
)
NETWORK = Network({"one": STEM}, {"one": BODY}, 16, AuxSpec(reduce=4, features=6))
SHAPE = (16, 16, 3)

states, start = {}, None
# name, examples a group, devices, parts; the groups of the last two span devices
runs = (
    ("1", 2, 1, 1), ("2", 2, 2, 2), ("8", 2, 8, 1), ("pmap", 2, 8, 1),
    ("one of 8", 8, 1, 1), ("spanning", 8, 8, 1),
)
for name, group, devices, accumulate in runs:
    options = {"bn_group": group, "dtype": "float64", "dropout": 0.0, "aux": {"sites": ("Mixed",)}}
    network = InceptionNetwork("test", NETWORK, read(options), 7)
    cfg = config(
        model__bn_group=group, optim__name="rmsprop", optim__epsilon=1.0, optim__ema_decay=0.99,
        optim__clip_norm=2.0, optim__weight_decay=4e-5, loss__label_smoothing=0.1,
        data__batch_size=16, parallel__devices=devices, train__accumulate=accumulate,
    )
    mesh = meshes.create(cfg)
    start = start or jax.device_get(state.create(network, cfg, SHAPE))
    wide = lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf
    now = jax.tree.map(wide, start)
    make = step.pmap_step if name == "pmap" else step.train_step
    function = make(network, cfg, mesh)
    rng = np.random.default_rng(0)
    for index in range(2):
        images = rng.integers(0, 256, (16, *SHAPE), np.uint8)
        examples = batch(16, seed=index) | {"image": images}
        if name != "pmap":
            now = jax.device_put(now, meshes.replicated(mesh))
            examples = meshes.put(examples, mesh)
        now, metrics = function(now, examples, 0.05)
        now = jax.device_get(now)
    assert now.step == 2, metrics
    kinds = {leaf.dtype for leaf in jax.tree.leaves((now.variables, now.ema))}
    assert kinds == {np.dtype("float64")}, kinds
    states[name] = now
for name, found in states.items():
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, err_msg=name)
    wanted = "one of 8" if name == "spanning" else name if name == "one of 8" else "1"
    jax.tree.map(same, found, states[wanted])
"""


@pytest.mark.slow
def test_one_two_and_eight_devices_agree_with_pmap_in_float64():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time is compilation
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

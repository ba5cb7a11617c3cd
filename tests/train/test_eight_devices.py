"""One, two and eight devices, which need a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
from standin import SHAPE, Network, batch, config
from inception_jax.train import mesh as meshes, state, step

states = {}
# name, examples a group, devices, parts; the groups of the last two span devices
runs = (
    ("1", 2, 1, 1), ("2", 2, 2, 1), ("8", 2, 8, 1), ("2x4", 2, 2, 4), ("pmap", 2, 8, 1),
    ("one of 8", 8, 1, 1), ("spanning", 8, 8, 1),
)
for name, group, devices, accumulate in runs:
    network = Network(dtype=jnp.float64, group=group)
    cfg = config(
        model__bn_group=group, optim__name="rmsprop", optim__epsilon=1.0, optim__ema_decay=0.99,
        optim__clip_norm=2.0, data__batch_size=16, parallel__devices=devices,
        train__accumulate=accumulate,
    )
    mesh = meshes.create(cfg)
    now = jax.device_get(state.create(network, cfg, SHAPE))
    make = step.pmap_step if name == "pmap" else step.train_step
    function = make(network, cfg, mesh)
    for index in range(3):
        examples = batch(16, seed=index)
        if name != "pmap":
            now = jax.device_put(now, meshes.replicated(mesh))
            examples = meshes.put(examples, mesh)
        now, _ = function(now, examples, 0.05)
        now = jax.device_get(now)
    states[name] = now
for name, found in states.items():
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13, err_msg=name)
    wanted = "one of 8" if name == "spanning" else name if name == "one of 8" else "1"
    jax.tree.map(same, found, states[wanted])
"""


@pytest.mark.slow
def test_one_two_and_eight_devices_agree_with_pmap_in_float64():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

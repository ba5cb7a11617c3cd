"""Settings that every test runs under."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

# Two devices on any machine, so that the sharded path is the one under test. Tests compile large
# programs and run them for a few steps: without LLVM's optimization that takes half the time.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0",
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

jax.config.update("jax_numpy_rank_promotion", "raise")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a script's `pytest &` inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Linear(nn.Module):
    """A network that a test can compute by itself: softmax of a matrix times the pixels."""

    classes: int

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Any:
        from inception_jax.models.network import Outputs

        return Outputs(nn.Dense(self.classes, name="dense")(images.reshape(len(images), -1)), ())


class Runs:
    """Folders of finished runs of `Linear` on `digits`, made without training."""

    def __init__(self, root: Path, data_dir: Path) -> None:
        self.root, self.data_dir = root, data_dir

    def make(self, name: str, seed: int = 0, **overrides: Any) -> Path:
        """A run; with optim.ema_decay it kept averages, which are other numbers."""
        from inception_jax import config as configs
        from inception_jax import data
        from inception_jax.train import result, state, variables

        values = {"data.name": "digits", "data.image_size": 8, "data.dir": str(self.data_dir)}
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        config = configs.apply(configs.default(), values | {"data.eval_batch_size": 60} | named)
        info = data.info(config.data)
        shape = (config.data.image_size**2 * info.channels, info.num_classes)
        rng = np.random.default_rng(seed)
        raw, ema = (
            {
                "params": {
                    "dense": {
                        "kernel": rng.normal(0, 0.3, shape).astype(np.float32),
                        "bias": np.zeros(shape[1], np.float32),
                    }
                },
                "batch_stats": {},
            }
            for _ in range(2)
        )
        final = state.TrainState(
            step=jnp.zeros((), jnp.int32),
            ema=ema if config.optim.ema_decay else None,
            opt_state=(),
            rng=jnp.zeros(2, jnp.uint32),
            **raw,
        )
        folder = self.root / name
        folder.mkdir()
        content = {
            "config": config.to_dict(),
            "metrics": {},
            "params_sha256": variables.write(folder, final),
            "data": {
                "num_classes": info.num_classes,
                "channels": info.channels,
                "class_names": [f"digit {k}" for k in range(info.num_classes)],
            },
        }
        result.write(folder, content)
        return folder

    def kernel(self, folder: Path, *, ema: bool = False) -> np.ndarray:
        """f64[pixels, classes] of a run."""
        from inception_jax import train

        _, _, found = train.from_workdir(folder, ema=ema)
        return np.asarray(found["params"]["dense"]["kernel"], np.float64)


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory):
    """Where `Runs` finds its data, prepared once a session."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def runs(tmp_path, prepared_data, monkeypatch):
    """Finished runs without training, opened as any other."""
    from inception_jax.train import runner

    monkeypatch.setattr(runner.models, "from_config", lambda config, classes: Linear(classes))
    return Runs(tmp_path, prepared_data)

"""Imported weights as the folder of a finished run, which the commands for runs can take."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.models.network import InceptionNetwork
from inception_jax.weights.load import Imported


def config_of(imported: Imported) -> ConfigDict:
    """The ImageNet config with the network's options and the source's evaluation."""
    config = config_lib.load_file("configs/imagenet.py")
    model = ConfigDict(dataclasses.asdict(imported.model.options))
    options = {f"model.{key}": value for key, value in config_lib.keys(model).items()}
    changes = {
        "model.name": imported.model.network_name,
        "data.image_size": imported.model.network.image_size,
        "data.eval_crop": imported.rules.crop,
        "data.eval_resize": "short_side" if imported.rules.short_side else "crop",
        "data.eval_interpolation": imported.rules.interpolation,
        "optim.ema_decay": 0.0,  # there is one set of variables, and it is kept as the last one
    }
    return config_lib.apply(config, {**options, **changes})


def save(imported: Imported, folder: Path, source: str) -> None:
    """Writes config.json, variables.msgpack and result.json, the last one last.

    Args:
        imported: what `read` gave, for images in [-1, 1] (`fold_input`).
        folder: is made where it is not there.
        source: where the weights come from, for result.json.

    Raises:
        UserError: the folder holds a run already, or cannot be written.
    """
    from inception_jax import files
    from inception_jax.train import result, state, variables

    if (folder / result.FILE).exists():
        raise errors.UserError(f"{folder} holds a run already; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UserError(f"cannot make {folder}: {error.strerror or error}") from error
    config = config_of(imported)
    final = state.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=imported.variables["params"],
        batch_stats=imported.variables["batch_stats"],
        ema=None,
        opt_state=(),
        rng=jnp.asarray(state.key_data(0)),
    )
    files.write_text(folder / result.CONFIG, config_lib.to_json(config) + "\n")
    content = {
        "config": json.loads(config_lib.to_json(config)),
        "metrics": {},
        "steps": 0,
        "params_sha256": variables.write(folder, final),
        "seconds": 0.0,
        "finished": result.now(),
        "data": {
            "name": config.data.name,
            "num_classes": imported.model.num_classes,
            "channels": 3,
            "class_names": [],
            "image_shape": [],
            "sizes": {},
        },
        "versions": result.versions(),
        "commit": result.commit(),
        "weights": {"source": source, "rules": imported.rules.lines(), "notes": imported.notes},
    }
    files.write_text(folder / result.FILE, json.dumps(content, indent=2) + "\n")


def open_run(folder: Path) -> tuple[InceptionNetwork, dict[str, Any]]:
    """The network and variables of a finished run, trained or imported.

    Raises:
        UserError: no finished run, or a damaged one.
    """
    from inception_jax import train

    _, model, variables = train.from_workdir(folder)
    return model, variables


def parameters(variables: dict[str, Any]) -> int:
    """How many trainable numbers there are."""
    return sum(np.size(leaf) for leaf in jax.tree.leaves(variables["params"]))

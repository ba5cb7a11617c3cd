"""variables.msgpack: the final variables of a run, in one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from inception_jax import errors, files
from inception_jax.train import state as states

FILE = "variables.msgpack"


def write(workdir: Path, state: states.TrainState) -> str:
    """Write parameters, batch statistics and averages; return `params_sha256` of the first two."""
    tree = {**state.variables, "ema": state.ema}
    host = jax.tree.map(np.asarray, tree)
    encoded = serialization.msgpack_serialize(host)
    files.write_whole(workdir / FILE, lambda file: file.write(encoded))
    return states.digest({name: host[name] for name in ("params", "batch_stats")})


def read(workdir: Path, sha256: str, *, ema: bool = False) -> dict[str, Any]:
    """The variables {"params", "batch_stats"} of a folder, as NumPy.

    Args:
        workdir: of a finished run.
        sha256: `params_sha256` of its result.
        ema: the averages instead of the last values.

    Raises:
        UserError: no file, a damaged one, or no averages in it.
    """
    path = workdir / FILE
    try:
        tree: Any = serialization.msgpack_restore(path.read_bytes())
        last = {name: tree[name] for name in ("params", "batch_stats")}
        found = states.digest(last)
    except FileNotFoundError as error:
        ended = path.with_name("result.json").exists()
        why = "the run has ended without it (did it diverge?)" if ended else "train first"
        raise errors.UserError(f"no {path}; {why}") from error
    except Exception as error:  # whatever a damaged file makes msgpack raise
        raise errors.UserError(
            f"{path} is damaged ({error}); remove the folder's result.json and train again"
        ) from error
    if found != sha256:
        raise errors.UserError(
            f"{path} is damaged: its digest is not result.json's params_sha256; remove the "
            "folder's result.json and train again"
        )
    if not ema:
        return last
    if tree["ema"] is None:
        raise errors.UserError(f"{workdir} kept no averages; set optim.ema_decay when training")
    return tree["ema"]

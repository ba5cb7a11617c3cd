"""Training: state, step, optimizer recipe, loop, checkpoints, results.

The two functions here are what other packages use; the modules below them import JAX, this one
does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict


def run(
    config: ConfigDict, workdir: str | Path, *, progress: bool = True, profile: int = 0
) -> dict[str, Any]:
    """Train one config in one folder, or go on with it, or return what it gave before.

    Args:
        config: after all overrides, not yet resolved.
        workdir: receives config.json, metrics.jsonl, checkpoints/ (best/, events/, profile/ where
            they are on), variables.msgpack, predictions.npz and, last and at once, result.json.
        progress: show a progress line on standard error.
        profile: steps of which workdir/profile receives a trace; 0 is none.

    Returns:
        The content of result.json.

    Raises:
        UserError: the folder holds another config's run, or cannot be written.
        NonFiniteLoss: the loss or its gradient became NaN or infinite.
        Interrupted: SIGTERM or SIGINT came; a checkpoint was saved first.
    """
    from inception_jax.train import runner

    return runner.run(config, Path(workdir), progress=progress, profile=profile)


def from_workdir(
    workdir: str | Path, *, ema: bool = False, best: bool = False
) -> tuple[ConfigDict, Any, Any]:
    """The config, the model and the final variables of a finished run.

    Args:
        workdir: the folder of a finished `run`.
        ema: the averaged variables instead of the last ones.
        best: those of the checkpoint that did best on validation (`train.keep_best`).

    Returns:
        (config, Flax module, {"params": ..., "batch_stats": ...}), arrays as NumPy.

    Raises:
        UserError: there is no finished run in the folder, its variables are damaged, or it kept
            no average.
    """
    from inception_jax.train import runner

    return runner.from_workdir(Path(workdir), ema=ema, best=best)

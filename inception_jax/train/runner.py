"""A run from its config to its result.json."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as configs
from inception_jax import data, errors, files, models
from inception_jax.data import blacklist
from inception_jax.evaluate import accuracy
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import (
    cache,
    distributed,
    result,
    signals,
    state,
    training,
    variables,
)
from inception_jax.train import mesh as meshes
from inception_jax.train.best import FOLDER as BEST
from inception_jax.train.checkpoint import Checkpoints
from inception_jax.train.recorder import Recorder
from inception_jax.train.training import Setting, Trained

_log = logging.getLogger(__name__)
# A run has diverged, too, where its last training loss is not below this share of a guess's.
_TRAINED = 0.99


def run(
    config: ConfigDict, workdir: Path, *, progress: bool = True, profile: int = 0
) -> dict[str, Any]:
    """See `train.run`."""
    config = distributed.start(config)
    earlier = distributed.from_first(lambda: _prepare(workdir, config))
    if earlier is not None:
        return earlier
    cache.enable()
    started = result.now()
    dataset = data.load(config.data)
    resolved = configs.resolve(config, dataset.sizes["train"])
    model = models.from_config(resolved.model, dataset.num_classes)
    setting = Setting(resolved, dataset, model, meshes.create(resolved), workdir)
    if distributed.is_first():
        for note in models.notes(model, resolved.data.image_size, dataset.channels):
            _log.warning("%s", note)
    try:
        with signals.stop_on_signal() as stop:
            trained = training.train(setting, stop, shown=progress, profile=profile)
    except errors.NonFiniteLoss as error:
        if not config.train.record_divergence:
            raise
        step = error.step
        return distributed.from_first(lambda: _diverged(config, setting, step, started))
    return distributed.from_first(lambda: _finish(config, setting, trained, started))


def _finish(config: ConfigDict, setting: Setting, trained: Trained, started: str) -> dict[str, Any]:
    """Write what a finished run leaves behind, result.json last, and return its content."""
    workdir, scores = setting.workdir, trained.scores
    split = "test" if "test" in scores else next(iter(scores))
    shown = scores[split]
    accuracy.save(workdir / "predictions.npz", shown, scores.get(f"{split}_ema"))
    metrics = _metrics(scores, trained.recorder)
    if config.train.record_divergence:
        heads = 1 + config.loss.aux_weight * len(config.model.aux.sites)
        guess = heads * math.log(setting.dataset.num_classes)
        metrics["diverged"] = float(metrics["train_loss"] > _TRAINED * guess)
    content = {
        "config": json.loads(configs.to_json(config)),
        "metrics": metrics,
        "steps": int(trained.state.step),
        "params_sha256": variables.write(workdir, trained.state),
        "seconds": round(trained.recorder.seconds, 3),
        **_origin(setting, started),
    }
    if trained.best:
        content["best"] = trained.best
    if trained.corrupt:
        content["data"]["corrupt"] = {"images": len(trained.corrupt), "named": trained.corrupt}
    listed = blacklist.read(config.data.blacklist)
    if listed and shown.excluded is not None:
        content["data"]["blacklist"] = listed.about(int(shown.excluded.sum()), len(shown))
    result.write(workdir, content)
    return content


def _diverged(config: ConfigDict, setting: Setting, step: int, started: str) -> dict[str, Any]:
    """Write the result of a run whose loss is not finite from this step on, and return it."""
    content = {
        "config": json.loads(configs.to_json(config)),
        "metrics": {"diverged": 1.0},
        "steps": step,
        "params_sha256": "",
        "seconds": 0.0,
        **_origin(setting, started),
    }
    result.write(setting.workdir, content)
    return content


def _origin(setting: Setting, started: str) -> dict[str, Any]:
    """Where a result comes from."""
    return {
        "started": started,
        "finished": result.now(),
        "data": _about(setting.dataset),
        "versions": result.versions(),
        "commit": result.commit(),
        "machine": result.machine(),
        "peak_memory_bytes": result.peak_memory(),
    }


def from_workdir(
    workdir: Path, *, ema: bool = False, best: bool = False
) -> tuple[ConfigDict, Any, Any]:
    """See `train.from_workdir`."""
    content = result.read(workdir)
    config = configs.from_json(json.dumps(content["config"]))
    model = models.from_config(config.model, content["data"]["num_classes"])
    if not best:
        return config, model, variables.read(workdir, content["params_sha256"], ema=ema)
    size = config.data.image_size
    like = state.shapes(model, config, (size, size, content["data"]["channels"]))
    found = Checkpoints(workdir / BEST).restore(like)
    if found is None or (ema and found[0].ema is None):
        raise errors.UserError(
            f"{workdir} kept no best checkpoint{' with averages' if ema else ''}; set "
            f"train.keep_best{' and optim.ema_decay' if ema else ''} when training"
        )
    return config, model, found[0].ema if ema else found[0].variables


def _prepare(workdir: Path, config: ConfigDict) -> dict[str, Any] | None:
    """The result that is there already, or None and a folder with its config.json.

    Raises:
        UserError: it holds another config's run, or cannot be written.
    """
    try:
        earlier = result.existing(workdir, config)
        if earlier is not None:
            return earlier
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UserError(f"cannot use {workdir}: {error.strerror or error}") from error
    files.write_text(workdir / result.CONFIG, configs.to_json(config) + "\n")
    return None


def _metrics(scores: dict[str, Scores], recorder: Recorder) -> dict[str, float]:
    """The `metrics` of result.json: {split}[_ema]_{top1, top5, loss} and the training's own."""
    values = {
        f"{split}_{name}": value
        for split, score in scores.items()
        for name, value in score.summary().items()
        if not name.endswith("examples")
    }
    speed = round(recorder.images_per_second, 2)
    values |= {"train_loss": recorder.train_loss, "images_per_second": speed}
    return values | ({"peak_share": round(recorder.peak_share, 4)} if recorder.peak_share else {})


def _about(dataset: Any) -> dict[str, Any]:
    """What later commands need to know of the data without having it."""
    return {
        "name": dataset.name,
        "num_classes": dataset.num_classes,
        "channels": dataset.channels,
        "class_names": list(dataset.class_names or ()),
        "image_shape": list(dataset.image_shape or ()),
        "sizes": dict(dataset.sizes),
    }

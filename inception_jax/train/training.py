"""What the loop works with: made at the start of a run, or brought back from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inception_jax import config as configs
from inception_jax import cost, data, errors
from inception_jax.bench import peak
from inception_jax.evaluate import accuracy
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import distributed, loop, programs, result, schedule, state, step
from inception_jax.train import mesh as meshes
from inception_jax.train.best import Best
from inception_jax.train.blame import Blame
from inception_jax.train.checkpoint import Checkpoints
from inception_jax.train.events import Events
from inception_jax.train.metrics import MetricsFile
from inception_jax.train.programs import Recipe
from inception_jax.train.progress import Progress
from inception_jax.train.recorder import Recorder
from inception_jax.train.signals import Stop
from inception_jax.train.trace import Trace

_EVALUATED = ("validation", "test")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a run is made of before its state: resolved config, data, network, devices, folder."""

    config: ConfigDict
    dataset: Any
    model: Any
    mesh: Mesh
    workdir: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the network's input, px."""
        size = self.config.data.image_size
        return size, size, self.dataset.channels


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the loop leaves.

    Attributes:
        state: the last.
        scores: of it, by split.
        recorder: closed.
        best: for result.json; None where it is off.
        corrupt: training images that could not be read, index -> what is wrong, on any process.
    """

    state: state.TrainState
    scores: dict[str, Scores]
    recorder: Recorder
    best: dict[str, Any] | None
    corrupt: dict[str, str]


def train(setting: Setting, stop: Stop, *, shown: bool, profile: int) -> Trained:
    """Run the loop from the start, or from the newest checkpoint.

    Args:
        setting: of the run.
        stop: set by a signal; one that comes before the first step takes effect after it.
        shown: whether the progress line is shown.
        profile: steps to trace into workdir/profile; 0 is none.
    """
    config, workdir = setting.config, setting.workdir
    first = distributed.is_first()
    checkpoints = Checkpoints(
        workdir / result.CHECKPOINTS,
        keep=config.train.keep_checkpoints,
        every_steps=config.train.checkpoint_every_steps,
        every_seconds=config.train.checkpoint_every_seconds,
    )
    recipe = Recipe(step.train_step, setting.model, config, donate=True)
    taking_steps = programs.kept(recipe, setting.mesh, calls=config.derived.steps, early=True)
    start, batches, noted = _start(setting, checkpoints)
    done, evaluated = int(start.step), noted.get("evaluated", True)
    events = Events(workdir / "events", done) if first and config.train.tensorboard else None
    also = {"also": events.write} if events else {}
    file = workdir / "metrics.jsonl" if first else None
    metrics = MetricsFile(file, done, evaluated=evaluated, **also)
    best = _best(setting, done)
    trace = Trace(workdir / "profile", done + 1, profile if first else 0)
    line = Progress(config.derived.steps, shown=shown and first)
    recorder = Recorder(
        metrics,
        line,
        config,
        state=noted.get("recorder"),
        images_per_second_at_peak=_at_peak(setting),
    )
    running = loop.Loop(
        start,
        batches,
        taking_steps,
        schedule.rates(config.optim, config.derived),
        _evaluator(setting, line),
        config,
        setting.mesh,
        recorder=recorder,
        checkpoints=checkpoints,
        blame=Blame(setting.model, config, setting.shape, setting.mesh, checkpoints.last_good),
        trace=trace,
        best=best,
    )
    try:
        running.run(stop, evaluated=evaluated)
        checkpoints.finish()
        if best:
            best.finish()
    finally:
        trace.close()
        line.close()
        checkpoints.close()
        if events:
            events.close()
    about = best.about() if best else None
    corrupt = distributed.union(batches.corrupt.found())
    return Trained(running.state, running.scores, recorder, about, corrupt)


def _start(
    setting: Setting, checkpoints: Checkpoints
) -> tuple[state.TrainState, data.TrainIterator, dict[str, Any]]:
    """State, data and what else a checkpoint keeps, from the newest one if there is any."""
    config, same = setting.config, meshes.replicated(setting.mesh)
    start = state.create(setting.model, config, setting.shape, sharding=same)
    batches = data.train_iterator(setting.dataset, config, shard=distributed.shard())
    found = checkpoints.restore(start)
    if found is None:
        return start, batches, {}
    restored, host = found
    batches.set_state(host["data"])
    return jax.device_put(restored, same), batches, host


def _best(setting: Setting, done: int) -> Best | None:
    config = setting.config
    if not config.train.keep_best:
        return None
    if not setting.dataset.sizes.get("validation"):
        raise errors.UserError(
            f"train.keep_best is {config.train.keep_best!r}, but {setting.dataset.name!r} has no "
            "validation split; set data.validation_fraction to cut one"
        )
    split = "validation_ema" if config.optim.ema_decay else "validation"
    return Best(setting.workdir, config.train.keep_best, split, done)


def _at_peak(setting: Setting) -> float:
    """Images a second of training if matrix products at the devices' peak were all; 0 is off."""
    if not setting.config.train.measure_peak:
        return 0.0
    macs = cost.count(setting.model, setting.shape[0], setting.shape[2]).macs
    reached = peak.matrix_product_peak(setting.mesh, setting.config.model.dtype)
    return reached / peak.training_flops(macs)


def _evaluator(
    setting: Setting, line: Progress
) -> Callable[[state.TrainState, Stop], dict[str, Scores]]:
    """Scores of every split that is not for training, and those of the averages beside them.

    What it returns raises Stopping between two batches, once a signal has come.
    """
    dataset, mesh = setting.dataset, setting.mesh
    size = meshes.filled(setting.config.data.eval_batch_size, mesh)
    config = configs.apply(setting.config, {"data.eval_batch_size": size})
    recipe = Recipe(step.evaluation, setting.model, setting.config)
    # compiled apart where the training is, whose next steps it would slow down
    step_function = programs.kept(recipe, mesh, calls=config.derived.steps)
    splits = [split for split in _EVALUATED if dataset.sizes.get(split)]
    if not splits:
        raise errors.UserError(
            f"data set {dataset.name!r} has no test or validation split; set "
            "data.validation_fraction to cut one from the training split"
        )

    def scores_of(name: str, split: str, values: Any, stop: Stop) -> Scores:
        batches = data.eval_batches(dataset, config, split, shard=distributed.shard())
        count = -(-dataset.sizes[split] // size)
        followed = line.follow(stop.watched(batches), count, f"evaluating {name}")
        return accuracy.evaluate(step_function, values, followed, mesh)

    def evaluate(current: state.TrainState, stop: Stop) -> dict[str, Scores]:
        kinds = {"": current.variables} | ({"_ema": current.ema} if current.ema else {})
        return {
            split + suffix: scores_of(split + suffix, split, values, stop)
            for split in splits
            for suffix, values in kinds.items()
        }

    return evaluate

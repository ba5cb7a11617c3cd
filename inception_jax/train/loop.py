"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import mesh as meshes
from inception_jax.train.best import Best
from inception_jax.train.checkpoint import Checkpoints
from inception_jax.train.recorder import Recorder
from inception_jax.train.signals import Stop
from inception_jax.train.state import TrainState
from inception_jax.train.trace import Trace


def fit(
    state: TrainState,
    batches: Iterator[dict[str, Any]],
    step_function: Callable[..., Any],
    rates: np.ndarray,
    evaluate: Callable[[TrainState], dict[str, Scores]],
    config: ConfigDict,
    mesh: Mesh,
    *,
    recorder: Recorder,
    checkpoints: Checkpoints,
    stop: Stop,
    trace: Trace,
    best: Best | None = None,
) -> tuple[TrainState, dict[str, Scores]]:
    """Train from the state's step to the last, and evaluate there.

    Steps are dispatched ahead of the device (`recorder.LAG` of them); only evaluations and
    checkpoints wait for it. The order within a step is: train, write down, evaluate, checkpoint,
    so that a checkpoint has everything up to its step behind it.

    Args:
        state: given away.
        batches: endless; with get_state() for the position in the data.
        step_function: of `step.train_step`.
        rates: learning rate f32[steps].
        evaluate: scores by split.
        config: resolved.
        mesh: over which batches are split.
        recorder: takes the metrics.
        checkpoints: takes the state.
        stop: set by a signal.
        trace: of a few steps.
        best: takes the state after every evaluation.

    Returns:
        The last state and its scores.

    Raises:
        NonFiniteLoss: from the recorder.
        Interrupted: a signal came; a checkpoint is saved.
    """
    steps = config.derived.steps
    scores: dict[str, Scores] = {}
    for step in range(int(state.step) + 1, steps + 1):
        trace.before(step)
        batch = meshes.put(next(batches), mesh)
        state, metrics = step_function(state, batch, rates[step - 1])
        trace.after(step, metrics)
        recorder.push(step, metrics)
        last = step == steps
        if last or step % config.derived.eval_every == 0:
            recorder.drain()
            scores = evaluate(state)
            for split, values in scores.items():
                recorder.evaluation(step, split, values.summary())
            if best is not None:
                best.offer(step, state, scores)
            recorder.resume_timing()
        came = None if last else stop.agreed(step)  # read once: it may come between two looks
        if came or (not last and checkpoints.due(step)):
            recorder.drain()
            position = batches.get_state()  # pyright: ignore[reportAttributeAccessIssue]
            checkpoints.save(step, state, {"data": position, "recorder": recorder.state()})
            recorder.resume_timing()
        if came:
            checkpoints.finish()
            raise errors.Interrupted(
                f"stopped by {came.name} after step {step} of {steps}; checkpoint saved, "
                "the same command goes on from there"
            )
    return state, scores

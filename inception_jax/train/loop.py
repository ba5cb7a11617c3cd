"""The training loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import distributed
from inception_jax.train import mesh as meshes
from inception_jax.train.best import Best
from inception_jax.train.blame import Blame, NotFinite
from inception_jax.train.checkpoint import Checkpoints
from inception_jax.train.recorder import LAG, Recorder
from inception_jax.train.signals import Stop, Stopping
from inception_jax.train.state import TrainState
from inception_jax.train.trace import Trace


class Loop:
    """Takes steps, and what has to happen between them."""

    def __init__(
        self,
        state: TrainState,
        batches: Iterator[dict[str, Any]],
        step_function: Callable[..., Any],
        rates: np.ndarray,
        evaluate: Callable[[TrainState, Stop], dict[str, Scores]],
        config: ConfigDict,
        mesh: Mesh,
        *,
        recorder: Recorder,
        checkpoints: Checkpoints,
        blame: Blame,
        trace: Trace,
        best: Best | None = None,
    ) -> None:
        """A loop that goes on from a state.

        Args:
            state: given away.
            batches: endless; with get_state() for the position in the data.
            step_function: of `step.train_step`.
            rates: learning rate f32[steps].
            evaluate: scores by split; raises Stopping between two batches.
            config: resolved.
            mesh: over which batches are split.
            recorder: takes the metrics.
            checkpoints: takes the state.
            blame: finds the layer that was not finite first.
            trace: of a few steps.
            best: takes the state after every evaluation.
        """
        self.state, self._batches, self._config, self._mesh = state, batches, config, mesh
        self._step_function, self._rates, self._evaluate = step_function, rates, evaluate
        self._recorder, self._checkpoints, self._blame = recorder, checkpoints, blame
        self._trace, self._best = trace, best
        self._recent: deque[tuple[int, Any]] = deque(maxlen=LAG + 1)
        self.scores: dict[str, Scores] = {}

    def run(self, stop: Stop, *, evaluated: bool = True) -> None:
        """Train to the last step, and evaluate there.

        Steps are dispatched ahead of the device (`recorder.LAG` of them); only evaluations and
        checkpoints wait for it. The order within a step is: train, write down, evaluate,
        checkpoint, so that a checkpoint has everything up to its step behind it; one that a signal
        in an evaluation asks for says that this is still to be done.

        Args:
            stop: set by a signal.
            evaluated: whether the evaluation after the state's own step, if one is due, was made.

        Raises:
            NonFiniteLoss: a step's loss or gradient is not finite.
            Interrupted: a signal came; a checkpoint is saved.
        """
        done, steps = int(self.state.step), self._config.derived.steps
        try:
            for step in range(done + 1 if evaluated else done, steps + 1):
                if step > done:
                    self._train(step)
                last = step == steps
                if last or step % self._config.derived.eval_every == 0:
                    self._score(step, stop)
                came = None if last else stop.agreed(step)  # once: it may come between two looks
                if came or (not last and self._checkpoints.due(step)):
                    self._save(step)
                if came:
                    self._end(step, came.name)
        except NotFinite as found:
            raise self._blame(found, self.state, dict(self._recent)[found.step]) from None

    def _train(self, step: int) -> None:
        self._trace.before(step)
        batch = meshes.put(next(self._batches), self._mesh)
        self._recent.append((step, batch))
        self.state, metrics = self._step_function(self.state, batch, self._rates[step - 1])
        self._trace.after(step, metrics)
        self._recorder.push(step, metrics)

    def _score(self, step: int, stop: Stop) -> None:
        self._recorder.drain()
        try:
            self.scores = self._evaluate(self.state, stop)
        except Stopping as stopping:
            self._save(step, evaluated=False)
            self._end(step, stopping.signal.name)
        for split, values in self.scores.items():
            self._recorder.evaluation(step, split, values.summary())
        if self._best is not None:
            self._best.offer(step, self.state, self.scores)
        self._recorder.resume_timing()

    def _save(self, step: int, *, evaluated: bool = True) -> None:
        """Save a checkpoint, unless the step has one, which then only lacks its evaluation."""
        self._recorder.drain()
        position = self._batches.get_state()  # pyright: ignore[reportAttributeAccessIssue]
        position["corrupt"] = distributed.union(position["corrupt"])
        host = {"data": position, "recorder": self._recorder.state(), "evaluated": evaluated}
        self._checkpoints.save_once(step, self.state, host)
        self._recorder.resume_timing()

    def _end(self, step: int, name: str) -> NoReturn:
        self._checkpoints.finish()
        raise errors.Interrupted(
            f"stopped by {name} after step {step} of {self._config.derived.steps}; checkpoint "
            "saved, the same command goes on from there"
        )

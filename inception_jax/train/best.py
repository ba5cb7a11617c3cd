"""The checkpoint that does best on the validation split, kept beside the newest ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import metrics
from inception_jax.train.checkpoint import Checkpoints
from inception_jax.train.state import TrainState

FOLDER = "best"
_SIGNS = {"top1": 1, "top5": 1, "loss": -1}


class Best:
    """Saves a state whenever its validation score passes all before it."""

    def __init__(self, workdir: Path, metric: str, split: str, step: int) -> None:
        """What was best up to a step follows from the metrics file, which ends there.

        Args:
            workdir: receives the folder "best"; has metrics.jsonl.
            metric: "top1", "top5" or "loss" (`train.keep_best`).
            split: "validation", or "validation_ema" where averages are kept.
            step: of the checkpoint that the run goes on from, 0 at its start.

        Raises:
            UsageError: no such metric.
        """
        if metric not in _SIGNS:
            raise errors.unknown("train.keep_best", metric, _SIGNS)
        self._metric, self._split = metric, split
        self._checkpoints = Checkpoints(workdir / FOLDER, keep=1)
        self._found: tuple[int, float] | None = None
        for record in metrics.read(workdir / "metrics.jsonl"):
            if record["split"] == split and record["step"] <= step:
                self._passes(record["step"], record[metric])

    def _passes(self, step: int, value: float) -> bool:
        sign = _SIGNS[self._metric]
        if self._found is not None and sign * value <= sign * self._found[1]:
            return False
        self._found = (step, value)
        return True

    def offer(self, step: int, state: TrainState, scores: Mapping[str, Scores]) -> None:
        """Save the state if its scores are the best so far.

        A step that was saved before a kill is there already, with the same bits.
        """
        value = scores[self._split].summary()[self._metric]
        if self._passes(step, value):
            self._checkpoints.save_once(step, state, {})

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            UserError: it could not be written.
        """
        self._checkpoints.finish()
        self._checkpoints.close()

    def about(self) -> dict[str, Any] | None:
        """For result.json: split, metric, value and step of the best."""
        if self._found is None:
            return None
        step, value = self._found
        return {"split": self._split, "metric": self._metric, "value": value, "step": step}

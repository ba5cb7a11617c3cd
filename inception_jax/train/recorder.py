"""What a running loop writes down, without ever making the device wait."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inception_jax.train.blame import NotFinite
from inception_jax.train.metrics import MetricsFile
from inception_jax.train.progress import Progress

#: Steps in flight before the oldest one's metrics are fetched: enough that the device never waits
#: for the host, few enough that a non-finite loss is seen at once and little memory is held.
LAG = 2


class Recorder:
    """Averages the metrics of the steps, writes them and stops a run that has diverged."""

    def __init__(
        self,
        file: MetricsFile,
        progress: Progress,
        config: ConfigDict,
        *,
        state: dict[str, Any] | None = None,
        images_per_second_at_peak: float = 0.0,
    ) -> None:
        """A recorder at the start of a run, or where `state` left off.

        Args:
            file: receives the lines.
            progress: the line on the screen.
            config: resolved.
            state: of an earlier `state()`.
            images_per_second_at_peak: if nothing but matrix products took time, at the devices'
                measured peak; 0 is unknown.
        """
        self._at_peak = images_per_second_at_peak
        state = {"window": [], "seconds": 0.0, "timed": [0, 0.0]} | (state or {})
        self._file, self._progress, self._config = file, progress, config
        self._pending: deque[tuple[int, dict[str, jax.Array]]] = deque()
        self._window: list[dict[str, float]] = list(state["window"])
        self._start = time.monotonic() - state["seconds"]
        self._timed: list[float] = list(state["timed"])  # steps and their seconds
        self._mark: float | None = None
        self.train_loss: float = state.get("train_loss", float("nan"))

    @property
    def seconds(self) -> float:
        """Since the run began, without the time between a kill and the next start."""
        return time.monotonic() - self._start

    @property
    def images_per_second(self) -> float:
        """Of training alone: without compilation, evaluation and checkpoints."""
        steps, seconds = self._timed
        return steps * self._config.data.batch_size / seconds if seconds else 0.0

    @property
    def peak_share(self) -> float:
        """The speed as a share of what matrix products alone would reach; 0 is unknown."""
        return self.images_per_second / self._at_peak if self._at_peak else 0.0

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep so that later lines come out the same.

        Copies: it is written in the background, while later steps are taken.
        """
        window, timed = list(self._window), list(self._timed)
        return {
            "window": window,
            "seconds": self.seconds,
            "timed": timed,
            "train_loss": self.train_loss,
        }

    def push(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Take the metrics of a step just dispatched; handle those of `LAG` steps ago.

        Raises:
            NotFinite: one of the handled steps has diverged.
        """
        self._pending.append((step, metrics))
        while len(self._pending) > LAG:
            self._handle(*self._pending.popleft())

    def drain(self) -> None:
        """Handle everything that was pushed; what follows is not training time."""
        while self._pending:
            self._handle(*self._pending.popleft())
        self._mark = None

    def resume_timing(self) -> None:
        """Training goes on after an evaluation or a checkpoint."""
        self._mark = time.monotonic()

    def evaluation(self, step: int, split: str, values: dict[str, float]) -> None:
        """Write the line of an evaluation."""
        self._file.write(self._line(step, split) | values | {"seconds": round(self.seconds, 3)})

    def _line(self, step: int, split: str) -> dict[str, Any]:
        epoch = step / self._config.derived.steps_per_epoch
        return {"step": step, "epoch": round(epoch, 6), "split": split}

    def _handle(self, step: int, metrics: dict[str, jax.Array]) -> None:
        fetched = jax.device_get(metrics)
        now = time.monotonic()
        if self._mark is not None:
            self._timed[0] += 1
            self._timed[1] += now - self._mark
        self._mark = now
        finite = fetched.pop("leaf_finite", np.ones(0, bool))
        values = {name: float(value) for name, value in fetched.items()}
        if not (np.isfinite(values["loss"]) and finite.all()):
            raise NotFinite(step, values["loss"], finite)
        self._window.append(values)
        if step % self._config.train.log_every_steps == 0 or step == self._config.derived.steps:
            self._flush(step)
        epoch = step / self._config.derived.steps_per_epoch
        speed = self.images_per_second
        share = {"peak_share": self.peak_share} if self._at_peak else {}
        self._progress.update(step, epoch, images_per_second=speed, **values, **share)

    def _flush(self, step: int) -> None:
        means = {
            name: sum(values[name] for values in self._window) / len(self._window)
            for name in self._window[0]
        }
        means["learning_rate"] = self._window[-1].get("learning_rate", 0.0)
        times = {
            "images_per_second": round(self.images_per_second, 2),
            "seconds": round(self.seconds, 3),
        }
        if self._at_peak:
            times["peak_share"] = round(self.peak_share, 4)
        self._file.write(self._line(step, "train") | means | times)
        self.train_loss = means["loss"]
        self._window = []

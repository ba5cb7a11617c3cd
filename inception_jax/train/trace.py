"""A profiler's trace of a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

#: Steps before the trace begins, which compile and fill the pipeline.
WARM_UP = 3


class Trace:
    """Traces some steps into a folder that TensorBoard, XProf and Perfetto read."""

    def __init__(self, folder: Path, first: int, count: int) -> None:
        """Trace `count` steps of a run that begins with step `first`; 0 traces none."""
        self._folder, self._begin = folder, first + WARM_UP
        self._end = self._begin + count
        self._on = False

    def before(self, step: int) -> None:
        """Begin, if it is time."""
        if self._begin <= step < self._end and not self._on:
            jax.profiler.start_trace(str(self._folder))
            self._on = True

    def after(self, step: int, metrics: Any) -> None:
        """End after the last step, once the device has done it."""
        if self._on and step == self._end - 1:
            jax.block_until_ready(metrics)
            self.close()

    def close(self) -> None:
        """End where the run did."""
        if self._on:
            jax.profiler.stop_trace()
            self._on = False

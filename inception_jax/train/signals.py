"""SIGTERM and SIGINT as a wish to stop after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from inception_jax.train import distributed

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Stopping(Exception):
    """A signal came between two batches of an evaluation; `signal` says which."""

    def __init__(self, came: signal.Signals) -> None:
        super().__init__(came.name)
        self.signal = came


class Stop:
    """Which signal came, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def agreed(self, step: int) -> signal.Signals | None:
        """The signal that came to any process of the run, the same on all of them.

        Several processes look only at the steps at which they meet: between them, one may have
        noted a signal that has not reached another.
        """
        if not distributed.meets(step):
            return None
        number = distributed.largest(self.signal or 0)
        return signal.Signals(number) if number else None

    def watched(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches of an evaluation, as long as no signal has come to any process.

        Raises:
            Stopping: one came, on all processes after the same batch.
        """
        for number, batch in enumerate(batches, 1):
            yield batch
            if came := self.agreed(number):
                raise Stopping(came)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Within, the first signal is noted and the second acts as usual.

    Outside the main thread, where Python allows no handlers, nothing is ever noted.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = {number: signal.getsignal(number) for number in _STOPS}

    def restore() -> None:
        for number, handler in usual.items():
            # None is a handler that Python did not set, as JAX's own of several processes
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        restore()

    for number in _STOPS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()

"""One line that says how far a run is: redrawn on a terminal, every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

_TERMINAL_SECONDS = 0.2
_PLAIN_SECONDS = 10.0


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Writes the line, not more often than a reader can follow."""

    def __init__(self, steps: int, *, shown: bool = True, stream: TextIO | None = None) -> None:
        """A line for a run of `steps` steps, on standard error unless told."""
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._shown = shown
        self._steps = steps
        self._first: tuple[int, float] | None = None
        self._next = 0.0
        self._width = 0

    def update(self, step: int, epoch: float, **values: float) -> None:
        """Say where the run is.

        Args:
            step: steps done.
            epoch: the same in epochs.
            values: loss, top1, images_per_second, peak_share.
        """
        now = time.monotonic()
        if self._first is None:  # the first step has compiled, so it says nothing about speed
            self._first = (step, now)
        if step == self._steps:
            self._next = 0.0  # the last is always said
        if not self._due(now):
            return
        parts = [f"step {step}/{self._steps}", f"epoch {epoch:.2f}"]
        parts += [f"loss {values['loss']:.3f}", f"top1 {100 * values['top1']:.1f} %"]
        if values.get("images_per_second"):
            parts.append(f"{values['images_per_second']:.0f} images/s")
        if values.get("peak_share"):
            parts.append(f"{100 * values['peak_share']:.0f} % of matrix products")
        done = step - self._first[0]
        if done:
            left = (now - self._first[1]) / done * (self._steps - step)
            parts.append(f"{clock(left)} left")
        self._write("  ".join(parts))

    def follow(self, batches: Iterable[Any], count: int, what: str) -> Iterator[Any]:
        """The `count` batches of an evaluation, and the line says how far it is."""
        begin = time.monotonic()
        for done, batch in enumerate(batches, 1):
            yield batch
            now = time.monotonic()
            if self._due(now) and done < count:
                left = (now - begin) / done * (count - done)
                self._write(f"{what}  batch {done}/{count}  {clock(left)} left")

    def _due(self, now: float) -> bool:
        """Whether the line may be written again."""
        if not self._shown or now < self._next:
            return False
        self._next = now + (_TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS)
        return True

    def _write(self, line: str) -> None:
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()

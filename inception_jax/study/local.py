"""The local launcher: a trial's processes on this machine, as many trials as it serves best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

from inception_jax.study import machine
from inception_jax.study.attempt import Attempt, Pool, Shared
from inception_jax.study.child import Child, Work
from inception_jax.study.exits import Exit
from inception_jax.study.machine import Slot


@dataclass(frozen=True)
class _Started:
    child: Child
    slot: tuple[Slot, ...]

    @property
    def process(self) -> int:
        return self.child.process


class Local(Pool[_Started]):
    """Runs trials on this machine, each in its own process group and pinned to its cores."""

    def __init__(self, **shared: Unpack[Shared]) -> None:
        """Plans for this machine; see `Pool`."""
        super().__init__(**shared)
        self._free, self._reason = machine.plan(self._jobs, self._memory_gb, self.needs)
        self._free.reverse()
        self._slots = len(self._free)

    def slots(self) -> int:
        """How many trials run at once."""
        return self._slots

    def describe(self) -> str:
        """The choice that was made for this machine."""
        return self._reason

    def room(self, running: int) -> int:
        """Slots that are free."""
        return self._slots - running

    def start(self, attempts: Sequence[Attempt], works: Sequence[Work]) -> list[_Started]:
        """Starts attempts, each in a free slot."""
        del attempts
        started: list[_Started] = []
        try:
            for work in works:
                slot = self._free.pop()
                child = Child(work, slot[: work.processes])
                started.append(_Started(child, slot))
        except BaseException:
            self.stop(started)
            raise
        return started

    def look(self, handle: _Started) -> Exit | Literal["running"]:
        """Where an attempt stands."""
        ended = handle.child.poll()
        if ended is None:
            return "running"
        self._free.append(handle.slot)
        return ended

    def stop(self, handles: Sequence[_Started]) -> None:
        """Ends attempts: asks all of them, then insists."""
        children = [handle.child for handle in handles]
        for one in children:
            one.ask()
        for one in children:
            one.end()

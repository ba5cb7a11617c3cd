"""The report's pages, rebuilt while a study runs, by a process of its own at low priority.

It is rebuilt when results have come, not before the last one has been looked at for a while, and
never takes more than a small share of the time. Whatever happens to it is no concern of the study.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from inception_jax.study.launch import Event

_SECONDS = 30.0  # between the end of one and the start of the next
_SHARE = 20  # … and at least so many times as long as the last one took
_LONGEST = 600.0
NICE = 10  # a tenth of a core beside trials that fill it; at 19 it would hardly get on
COMMAND = (sys.executable, "-m", "inception_jax", "report")


class Rebuilder:
    """Follows a launcher's events and keeps the pages up to date; use as a context manager.

    Args:
        root: the study's folder.
        command: what rebuilds the report of the folder that is appended.
        seconds: least time between two.
    """

    def __init__(
        self, root: Path, command: Sequence[str] = COMMAND, seconds: float = _SECONDS
    ) -> None:
        self._root, self._command, self._seconds = root, tuple(command), seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._next = time.monotonic() + seconds
        self._news = False

    def __enter__(self) -> Rebuilder:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends one that still runs: the driver writes the last report itself."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
            self._process = None

    def __call__(self, event: Event | None) -> None:
        """Takes in one event; starts a rebuilding where it is time for one."""
        self._news = self._news or (event is not None and event.kind in ("done", "failed"))
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None and now - self._begun < _LONGEST:
                return
            self.__exit__()
            self._next = now + max(self._seconds, _SHARE * (now - self._begun))
        if self._news and now >= self._next:
            self._news, self._begun = False, now
            self._start()

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # no process, no page: the study goes on
            self._process = subprocess.Popen(
                [*self._command, str(self._root)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the driver's
            )
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)

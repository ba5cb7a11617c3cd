"""Training images that cannot be read: counted, named, and replaced up to a limit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from inception_jax import errors
from inception_jax.data.decode import CorruptImage

_log = logging.getLogger(__name__)


class CorruptImages:
    """Those that a run has met; any number of threads may add to them."""

    def __init__(self, limit: int) -> None:
        """None yet; `limit` of them are allowed (`data.max_corrupt`)."""
        self._limit = limit
        self._found: dict[int, str] = {}
        self._lock = threading.Lock()

    def found(self) -> dict[str, str]:
        """Index, as text, -> what is wrong; can be written as JSON."""
        with self._lock:
            return {str(index): text for index, text in sorted(self._found.items())}

    def restore(self, found: dict[str, str]) -> None:
        """Take over what an earlier part of the run has met."""
        with self._lock:
            self._found.update({int(index): text for index, text in found.items()})

    def first_good(
        self, indices: Iterable[int], read: Callable[[int], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `read` gives for the first index that it can read.

        Which one that is depends on the images alone, so that every run and every part of a run
        takes the same.

        Raises:
            UserError: more corrupt images than the limit.
        """
        for index in indices:
            try:
                return read(index)
            except CorruptImage as error:
                self._add(index, error)
        raise errors.UserError("no image of the training split can be read")

    def _add(self, index: int, error: CorruptImage) -> None:
        if not self._limit:
            raise error
        with self._lock:
            new = index not in self._found
            self._found[index] = str(error)
            count = len(self._found)
        # Also for one that was met before: then a thread that reads ahead has it, unseen as yet.
        if count > self._limit:
            raise errors.UserError(
                f"{count} training images cannot be read, more than data.max_corrupt "
                f"{self._limit}; the last: {error}"
            ) from error
        if new:
            _log.warning("%s (%d so far; the next example takes its place)", error, count)


def following(order: Any, place: int) -> Iterator[int]:
    """The examples of an epoch's order from a place on, round to it again."""
    for offset in range(len(order)):
        yield int(order[(place + offset) % len(order)])

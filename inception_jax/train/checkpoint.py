"""Checkpoints: Orbax's, written in the background, with a digest that is checked on reading."""

from __future__ import annotations

import errno
import functools
import logging
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from inception_jax import errors
from inception_jax.train import distributed
from inception_jax.train import state as states
from inception_jax.train.state import TrainState

_log = logging.getLogger(__name__)


def _is_not_orbax(record: logging.LogRecord) -> bool:
    """Drops Orbax's own stack traces, one a thread: what it raises is said in one line here."""
    return "orbax" not in record.pathname


@functools.cache
def _mute_event_loop() -> None:
    """Drops the stack traces that follow a write that failed, one for each array.

    TensorStore's threads report on them to an event loop that Orbax has closed by then, or that
    nobody asks any more.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    usual = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            usual(unraisable)

    sys.unraisablehook = hook


def _reason(error: Exception) -> str:
    """What the operating system said, or the first line of what TensorStore made of it."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number:
        return os.strerror(int(number[1]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def _flat(state: TrainState) -> dict[str, np.ndarray]:
    """The leaves by path, copied to the host: the step that follows gives the state away."""
    names = (name.replace("/", ".") for name in states.leaf_names(state))
    return dict(zip(names, map(np.array, jax.tree.leaves(state)), strict=True))


def _empty(like: TrainState) -> TrainState:
    """Arrays on the host of the same shapes and types."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)


class Checkpoints:
    """The checkpoints of one run, in one folder.

    Orbax is imported when the first one is written or read: a short run needs none. Of several
    processes only the first writes and reads, so that no shared disk is needed.
    """

    def __init__(
        self, folder: Path, *, keep: int = 2, every_steps: int = 0, every_seconds: float = 0.0
    ) -> None:
        """Use a folder, which need not exist yet.

        Args:
            folder: holds one folder a checkpoint, named by its step.
            keep: how many of the newest stay.
            every_steps: write after every so many steps; 0 is off.
            every_seconds: write once so many seconds have passed since the last; 0 is off.
        """
        self._folder = folder.absolute()
        self._keep, self._every_steps, self._every_seconds = keep, every_steps, every_seconds
        self._manager: Any = None
        self._written = time.monotonic()
        self._last: int | None = None

    def last_good(self) -> str:
        """Where the newest checkpoint is, in words."""
        return "none" if self._last is None else f"step {self._last} in {self._folder}"

    def due(self, step: int) -> bool:
        """Whether a checkpoint should be written after this step."""
        if self._every_steps and step % self._every_steps == 0:
            return True
        if not self._every_seconds or not distributed.meets(step):
            return False
        late = distributed.is_first() and time.monotonic() - self._written >= self._every_seconds
        return bool(distributed.largest(int(late)))  # clocks differ: the first process's counts

    def save(self, step: int, state: TrainState, host: dict[str, Any]) -> None:
        """Copy the state and write it in the background.

        Args:
            step: updates made.
            state: fetched from the device here.
            host: JSON-able: position in the data, open averages of the metrics.

        Raises:
            UserError: an earlier write failed; the checkpoints before it are intact.
        """
        if distributed.is_first():
            self._write(step, state, host)
        self._written = time.monotonic()
        self._last = step

    def save_once(self, step: int, state: TrainState, host: dict[str, Any]) -> None:
        """As `save`, unless the step's checkpoint is there already."""
        if distributed.is_first() and step in self._open().all_steps():
            return
        self.save(step, state, host)

    def _write(self, step: int, state: TrainState, host: dict[str, Any]) -> None:
        import orbax.checkpoint as ocp

        flat = _flat(state)
        self._attempt(lambda: self._check_room(sum(leaf.nbytes for leaf in flat.values())))
        note = {"digest": states.digest(flat), "host": host}
        self._attempt(
            lambda: self._open().save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(flat), note=ocp.args.JsonSave(note)
                ),
                force=True,
            )
        )

    def _check_room(self, needed: int) -> None:
        """Fail before half a checkpoint fills the disk; compressed, a whole one takes a bit less.

        Raises:
            OSError: fewer bytes are free than `needed`.
        """
        self._open()
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(
                errno.ENOSPC,
                f"{os.strerror(errno.ENOSPC)}, {needed / 2**20:.1f} MiB needed and "
                f"{free / 2**20:.1f} MiB free",
            )

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest checkpoint that is whole, or None; a damaged one is set aside with a warning.

        Several processes all call this and all get what the first one read.

        Args:
            like: a state of the same structure; its values are not used.

        Returns:
            (state with NumPy leaves, what `save` was given as `host`).
        """
        if jax.process_count() == 1:
            return self._newest(like)
        found = self._newest(like) if distributed.is_first() else None
        host = distributed.from_first(lambda: found and found[1])
        if host is None:
            return None
        state = distributed.same_everywhere(found[0] if found else _empty(like))
        self._last = int(state.step)
        return state, host

    def _newest(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        if not self._folder.is_dir():
            return None
        for step in sorted(self._open().all_steps(), reverse=True):
            try:
                found = self._read(step, like)
            except Exception as error:  # whatever a damaged file makes Orbax raise
                self._set_aside(step, error)
                continue
            self._last = step
            return found
        return None

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            UserError: it could not be written; the checkpoints before it are intact.
        """
        if self._manager is not None:
            self._attempt(self._manager.wait_until_finished)

    def close(self) -> None:
        """Let go of the folder, without a word about writes that failed."""
        if self._manager is not None:
            try:
                self._manager.close()
            except (OSError, ValueError) as error:
                _log.info("checkpoint: %s", _reason(error))  # the run ends with its own reason
            self._manager = None

    def _open(self) -> Any:
        if self._manager is None:
            import orbax.checkpoint as ocp

            alone = ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="inception_jax"
            )
            several = jax.process_count() > 1
            options = ocp.CheckpointManagerOptions(
                max_to_keep=self._keep,
                cleanup_tmp_directories=True,
                **({"multiprocessing_options": alone, "create": False} if several else {}),
            )
            self._attempt(lambda: self._folder.mkdir(parents=True, exist_ok=True))
            logging.getLogger("absl").addFilter(_is_not_orbax)
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        return self._manager

    def _read(self, step: int, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
        import orbax.checkpoint as ocp

        names = [name.replace("/", ".") for name in states.leaf_names(like)]
        leaves, structure = jax.tree.flatten(_empty(like))
        empty = dict(zip(names, leaves, strict=True))
        found = self._open().restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(empty), note=ocp.args.JsonRestore()
            ),
        )
        if states.digest(found["state"]) != found["note"]["digest"]:
            raise ValueError("its digest is not the one that was written")
        state = jax.tree.unflatten(structure, [found["state"][name] for name in names])
        return state, found["note"]["host"]

    def _set_aside(self, step: int, error: Exception) -> None:
        """Move a damaged checkpoint away, so that the step can be written again."""
        aside = self._folder.with_name(f"{self._folder.name}.damaged")
        _log.warning(
            "checkpoint of step %d cannot be read (%s); it is moved to %s and the one before it "
            "is used",
            step,
            _reason(error),
            aside,
        )
        self._attempt(lambda: self._move(step, aside))
        self._open().reload()

    def _move(self, step: int, aside: Path) -> None:
        aside.mkdir(exist_ok=True)
        target = aside / str(step)
        shutil.rmtree(target, ignore_errors=True)
        (self._folder / str(step)).rename(target)

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            _mute_event_loop()
            raise errors.UserError(
                f"cannot write a checkpoint to {self._folder}: {_reason(error)}; earlier ones are "
                "intact"
            ) from error

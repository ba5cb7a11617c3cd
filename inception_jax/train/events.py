"""TensorBoard events, written without TensorFlow (the extra `tensorboard`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inception_jax import errors

_NO_CURVES = {"step", "split", "epoch"}


class Events:
    """Writes the numbers of metrics.jsonl as curves named split/name."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open a new events file; what an earlier one has after `step` is not shown any more.

        Raises:
            UserError: tensorboardX is not installed.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise errors.UserError(
                "train.tensorboard is on, but tensorboardX is not installed; pip install "
                "'inception-jax[tensorboard]', or turn it off"
            ) from error
        purge: dict[str, Any] = {"purge_step": step + 1} if step else {}
        self._writer: Any = SummaryWriter(str(folder), **purge)

    def write(self, record: dict[str, Any]) -> None:
        """Add one line of metrics.jsonl."""
        for name, value in record.items():
            if name not in _NO_CURVES:
                self._writer.add_scalar(f"{record['split']}/{name}", value, record["step"])

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()

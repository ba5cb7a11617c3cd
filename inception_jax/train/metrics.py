"""metrics.jsonl: one JSON object a line, cut back to the checkpoint when a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inception_jax import errors, files

#: Fields that differ between two runs of the same config.
TIME_FIELDS = ("seconds", "images_per_second", "peak_share")


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, without a last line that a kill cut short."""
    if not path.is_file():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class MetricsFile:
    """Appends records to metrics.jsonl."""

    def __init__(
        self,
        path: Path | None,
        step: int,
        also: Callable[[dict[str, Any]], None] = lambda record: None,
        *,
        evaluated: bool = True,
    ) -> None:
        """Open the file, keeping only the records up to `step`, the checkpoint's.

        Args:
            path: of the file; None is a process that writes nothing.
            step: of the checkpoint that the run goes on from.
            also: is given every record that is written.
            evaluated: whether the evaluation after that step is part of the checkpoint.
        """
        self._path, self._also = path, also
        if path is None:
            return
        kept = [
            record
            for record in read(path)
            if record["step"] < step
            or (record["step"] == step and (evaluated or record["split"] == "train"))
        ]
        files.write_text(path, "".join(json.dumps(record) + "\n" for record in kept))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record and hand it to the operating system.

        Raises:
            UserError: the disk is full.
        """
        if self._path is None:
            return
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            self._also(record)
        except OSError as error:
            raise errors.UserError(
                f"cannot write {self._path}: {error.strerror or error}"
            ) from error

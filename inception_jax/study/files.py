"""Names of a study's files, and how they are written and read: whole or not at all, as data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from inception_jax.study import untrusted

STUDY_FILE, COSTS_FILE = "study.json", "costs.json"
RESULT_FILE, CONFIG_FILE, FAILURE_FILE = "result.json", "config.json", "failure.json"
SLURM_FOLDER = ".slurm"  # what jobs and driver tell each other


def write_json(path: Path, data: Any) -> None:
    """Writes data whole or not at all, also when two processes write it at once."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all, also when two processes write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # never through a link that somebody left there
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """The file's content, or None where it is not there or is not JSON; see `untrusted`."""
    return untrusted.json_file(path)

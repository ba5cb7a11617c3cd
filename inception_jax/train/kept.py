"""Files of compiled programs, each with the digest of its content before it."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import time
from pathlib import Path
from typing import Any

from jax.experimental import serialize_executable

from inception_jax import files

_DAYS = 30  # after which a program that nobody took is removed

_log = logging.getLogger(__name__)


def read(path: Path) -> Any:
    """The program that is kept there, or None; a file that is not whole is not looked into."""
    try:
        if path.stat().st_uid != os.getuid():
            raise PermissionError("another user's")
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise ValueError("not as it was written")
        os.utime(path)
        return serialize_executable.deserialize_and_load(*pickle.loads(content[32:]))
    except FileNotFoundError:
        return None
    except Exception as error:  # it can be compiled again
        _log.debug("cannot use %s: %s", path, error)
        return None


def write(path: Path, program: Any) -> None:
    """Keeps a program, where it can be kept, and removes those that nobody takes any more."""
    try:
        content = pickle.dumps(serialize_executable.serialize(program))
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = hashlib.sha256(content).digest() + content
        files.write_whole(path, lambda file: file.write(whole))
        for other in filter(Path.is_file, path.parent.parent.rglob("*")):
            if time.time() - other.stat().st_mtime > _DAYS * 24 * 3600:
                other.unlink(missing_ok=True)
    except Exception as error:  # the run goes on without
        _log.debug("cannot keep %s: %s", path, error)


def newest(folder: Path) -> Path | None:
    """The program of a folder that was taken last, or None."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
    except OSError:
        return None

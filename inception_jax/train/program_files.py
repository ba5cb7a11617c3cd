"""Files of compiled programs, each with the digest of its content before it."""

from __future__ import annotations

import contextlib
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
        return serialize_executable.deserialize_and_load(*pickle.loads(content[32:]))
    except FileNotFoundError:
        return None
    except Exception as error:  # it can be compiled again
        _log.debug("cannot use %s: %s", path, error)
        return None


def taken(path: Path) -> None:
    """Notes that a program was of use."""
    with contextlib.suppress(OSError):  # a folder that can only be read
        os.utime(path)


def writable(folder: Path) -> bool:
    """Whether programs of a recipe can be kept there; makes the folder."""
    try:
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def write(path: Path, program: Any) -> None:
    """Keeps a program, where it can be kept, and removes those that nobody takes any more."""
    try:
        if not writable(path.parent):
            raise PermissionError(f"{path.parent} cannot be written")
        content = pickle.dumps(serialize_executable.serialize(program))
        whole = hashlib.sha256(content).digest() + content
        files.write_whole(path, lambda file: file.write(whole))
    except Exception as error:  # the run goes on without
        _log.debug("cannot keep %s: %s", path, error)
    _remove_old(path.parent.parent)


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds comes before it
        with contextlib.suppress(OSError):  # another process was faster, or a folder is not empty
            if path.is_dir():
                path.rmdir()
            elif time.time() - path.stat().st_mtime > _DAYS * 24 * 3600:
                path.unlink()


def newest(folder: Path) -> Path | None:
    """The program of a folder that was taken last, or None."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
    except OSError:
        return None

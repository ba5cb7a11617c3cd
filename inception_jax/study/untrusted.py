"""Reading what another machine wrote: as data, of bounded size, from within the study's folder.

A study's folder may come from anywhere. Nothing in it is unpickled or evaluated; here its JSON is
read so that the rest may print it and compute with it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import IO, Any

from inception_jax import errors

MAX_JSON = 32 << 20  # bytes; a study of 1,000 arms has less than one MiB
MAX_LINES = 256 << 20  # of a metrics.jsonl
MAX_ARRAYS = 1 << 30  # of a predictions.npz, unpacked
_DEPTH = 32
# what moves a terminal's cursor, hides text or turns its direction
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text with each control character replaced by U+FFFD; tabs and line ends stay."""
    return _CONTROL.sub("\ufffd", text)


def regular(path: Path, limit: int) -> bool:
    """Whether the path is a file, no pipe or device, of at most so many bytes."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= limit


def append(path: Path) -> IO[bytes]:
    """Opens a file to write at its end; no link is followed, and no pipe is waited for.

    Raises:
        OSError: it is a link, a pipe or a device, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"{path.name} is no file", str(path))
    return os.fdopen(handle, "ab")


def refuse_links(*paths: Path) -> None:
    """Before something is written there.

    Raises:
        UserError: one of the paths is a link.
    """
    for path in paths:
        if path.is_symlink():
            raise errors.UserError(f"{path} is a link, which is not written through; remove it")


def within(root: Path, path: Path) -> bool:
    """Whether the path, its links followed, lies in `root`."""
    base, real = os.path.realpath(root), os.path.realpath(path)
    return real == base or real.startswith(base.rstrip(os.sep) + os.sep)


def json_file(path: Path, limit: int = MAX_JSON) -> Any:
    """The file's content, or None where it is no JSON that is fit to be used.

    Control characters in its texts are replaced, integers beyond 64 bits become floats.
    """
    if not regular(path, limit):
        return None
    try:
        return _cleaned(json.loads(path.read_text(encoding="utf-8"), parse_int=_integer), _DEPTH)
    except (OSError, ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    return {clean(key): _cleaned(item, depth - 1) for key, item in value.items()}


def small_arrays(path: Path) -> bool:
    """Whether an .npz unpacks to at most `MAX_ARRAYS` bytes."""
    if not regular(path, MAX_ARRAYS):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(entry.file_size for entry in archive.infolist()) <= MAX_ARRAYS
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def cell(value: str) -> str:
    """A text for a CSV file that a spreadsheet shows instead of computing it (CWE-1236)."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

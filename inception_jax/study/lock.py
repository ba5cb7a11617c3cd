"""One driver a folder: the lock is the kernel's, so a driver that is killed leaves none behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from inception_jax import errors


@contextlib.contextmanager
def hold(root: Path) -> Iterator[None]:
    """Holds the folder for this process.

    Raises:
        UserError: another process holds it.
    """
    import fcntl

    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise errors.UserError(f"cannot write to {root}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise errors.UserError(
                f"another driver (process {holder}) is running the study in {root}; wait for it "
                "or choose another --workdir"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)

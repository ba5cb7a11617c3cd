"""One driver a study, also where its folder is shared by many machines.

On one machine the kernel's lock decides, which a driver that is killed leaves behind. Between
machines a lease does: a small file that the driver renews every few seconds, and that another may
take over once it has not been renewed for a while.
"""

from __future__ import annotations

import _thread
import contextlib
import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psutil

from inception_jax import errors
from inception_jax.study import files

LOCK_FILE, LEASE_FILE = ".lock", ".lease.json"
BEAT_SECONDS = 10.0  # between two renewals
LEASE_SECONDS = 60.0  # without one, after which a driver counts as gone
_FIRST_SECONDS = 1.0  # until a driver looks whether another took the lease in the same moment


@dataclass(frozen=True)
class Lease:
    """Who holds a study.

    Attributes:
        token: of this hold alone.
        host: name of the machine, and what tells it from others of that name.
        process: id of the driver on its machine.
        born: when that process started, s since 1970 by the machine's clock.
        since: when it took the lease, likewise.
        renewed: when it last renewed it, likewise.
        beats: how often it has.
    """

    token: str
    host: str
    process: int
    born: float
    since: float
    renewed: float
    beats: int = 0

    def __str__(self) -> str:
        name = self.host.partition("/")[0]
        since = datetime.datetime.fromtimestamp(self.since, datetime.UTC)
        return f"process {self.process} on {name}, since {since:%Y-%m-%d %H:%M:%S} UTC"


class Place(Protocol):
    """Where a lease is kept."""

    def read(self, name: str) -> bytes | None:
        """The file's content; None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...


class Folder:
    """A folder of this machine or of a network disk, as a `Place`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            return (self._root / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        files.write_text(self._root / name, content.decode())

    def remove(self, name: str) -> None:
        """See `Place`."""
        with contextlib.suppress(OSError):
            (self._root / name).unlink()


@contextlib.contextmanager
def hold(root: Path, remote: Place | None = None) -> Iterator[Callable[[object], None]]:
    """Holds a study for this process.

    Yields a function that raises KeyboardInterrupt once another driver has taken the study over;
    what is given to it is not used. The main thread is interrupted as well, but not where SIGINT
    is ignored, as in the background of a script.

    Args:
        root: its folder, or the mirror of it.
        remote: where it really is, if that is not `root`.

    Raises:
        UserError: another driver holds it, or took it over because this one was out of touch.
    """
    place = remote or Folder(root)
    with _kernel_lock(root) as locked:
        held = _read(place)
        if held is not None and not _abandoned(held, place, locked):
            raise errors.UserError(_told(held, root, remote))
        if held is None and not locked:
            raise errors.UserError(f"another driver is running the study in {root}")
        keeper = _Keeper(place)
        keeper.start()
        try:
            if held is not None and held.host != _host():
                time.sleep(BEAT_SECONDS)  # until the trials of a driver that may live have ended
            yield keeper.check
        except (KeyboardInterrupt, errors.UserError):
            if keeper.taken is not None:
                raise errors.UserError(
                    f"this driver was out of touch, and another ({keeper.taken}) has taken over "
                    "the study; finished trials are kept"
                ) from None
            raise
        finally:
            keeper.finish()


@contextlib.contextmanager
def _kernel_lock(root: Path) -> Iterator[bool]:
    """Whether no other process that this machine's kernel knows of holds the folder."""
    import fcntl

    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise errors.UserError(f"cannot write to {root}: {error.strerror}") from None
    try:
        locked = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked = False
        except OSError:  # a network disk without locks: the lease alone decides
            locked = True
        yield locked
    finally:
        os.close(handle)


def _abandoned(held: Lease, place: Place, locked: bool) -> bool:
    """Whether the driver of a lease is gone. Takes a while where clocks cannot tell."""
    if held.host == _host():
        return locked and not _lives(held)
    if abs(time.time() - held.renewed) < LEASE_SECONDS:
        return False
    # its clock may be wrong: a driver that lives renews its lease while one looks on
    time.sleep(BEAT_SECONDS * 1.5)
    return _read(place) == held


def _lives(held: Lease) -> bool:
    try:
        return abs(psutil.Process(held.process).create_time() - held.born) < 1.0
    except psutil.Error:
        return False


def _told(held: Lease, root: Path, remote: Place | None) -> str:
    where = getattr(remote, "url", None) or root
    told = f"another driver ({held}) is running the study in {where}; wait for it or choose another"
    if held.host == _host():
        return f"{told} --workdir"
    left = max(0.0, LEASE_SECONDS - abs(time.time() - held.renewed))
    return f"{told} --workdir (if its machine is gone, its hold ends in {left:.0f} s)"


def _read(place: Place) -> Lease | None:
    """The lease; None where there is none that can be read."""
    content = place.read(LEASE_FILE)
    try:
        lease = Lease(**json.loads(content or b""))
        str(lease)
        return lease if isinstance(lease.renewed, int | float) else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def holder(root: Path) -> Lease | None:
    """Who holds the study of a folder, as far as its lease tells; None where nobody does."""
    held = _read(Folder(root))
    if held is None or abs(time.time() - held.renewed) >= LEASE_SECONDS:
        return None
    return None if held.host == _host() and not _lives(held) else held


def fence(root: Path) -> str:
    """The lease of a study in a folder, for its trials, as TOKEN@PATH; "" where there is none.

    Args:
        root: the study's folder, or that of its search within.
    """
    for folder in (root, root.parent):
        held = _read(Folder(folder))
        if held is not None:
            return f"{held.token}@{(folder / LEASE_FILE).absolute()}"
    return ""


def _host() -> str:
    """The machine's name and, for machines that share one, what this start of it is called."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}"


class _Keeper:
    """Renews the lease from a thread of its own, and notices when another has taken it."""

    def __init__(self, place: Place) -> None:
        now = time.time()
        born = psutil.Process().create_time()
        self._lease = Lease(uuid4().hex, _host(), os.getpid(), born, now, now)
        self._place = place
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.taken: Lease | None = None

    def start(self) -> None:
        """Takes the lease.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self._write()
        except Exception as error:  # every store has errors of its own
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise errors.UserError(f"cannot write the study's {LEASE_FILE}: {reason}") from None
        self._thread.start()

    def _write(self) -> None:
        self._place.write(LEASE_FILE, json.dumps(asdict(self._lease)).encode())

    def _run(self) -> None:
        wait = _FIRST_SECONDS
        while not self._over.wait(wait):
            wait = BEAT_SECONDS
            with contextlib.suppress(Exception):  # out of reach for now: the next beat may do
                held = _read(self._place)
                if held is not None and held.token != self._lease.token:
                    self.taken = held
                    _thread.interrupt_main()
                    return
                beats = self._lease.beats + 1
                content = asdict(self._lease) | {"renewed": time.time(), "beats": beats}
                self._lease = Lease(**content)
                self._write()

    def check(self, _: object = None) -> None:
        """Raises KeyboardInterrupt if the lease is another's."""
        if self.taken is not None:
            raise KeyboardInterrupt

    def finish(self) -> None:
        """Gives the lease back, unless it is another's by now."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(Exception):
            held = _read(self._place)
            if held is not None and held.token == self._lease.token:
                self._place.remove(LEASE_FILE)

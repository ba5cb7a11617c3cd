"""What goes between a study in a store and the folders that mirror it: trials there and back.

The driver offers a trial's config, the worker opens the trial's folder and sends it back, and the
driver collects what reports need.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from pathlib import Path, PurePosixPath

from inception_jax import errors
from inception_jax.study import child, lock, store
from inception_jax.study.definition import FOLDER_NAME
from inception_jax.study.files import CONFIG_FILE, FAILURE_FILE, RESULT_FILE
from inception_jax.study.launch import Job
from inception_jax.study.remote import Remote, explained, is_url, line, mirror

SEND_SECONDS = 60.0  # between two copies of a trial that runs
_CHECKPOINTS = "checkpoints"

Sent = dict[str, tuple[int, int]]  # by name: bytes, time of change


def for_reading(workdir: str | Path) -> Path:
    """The folder itself, or a fresh mirror of what is behind a URL.

    It is a mirror of its own: that of a driver or a worker may be ahead of the store.

    Raises:
        UserError: nothing can be read there.
    """
    if not is_url(workdir):
        return Path(workdir)
    study = Remote(str(workdir))
    root = mirror(str(workdir))
    root = root.with_name(f"{root.name}-read")
    study.pull(root, [lock.LEASE_FILE])
    return root


class Publisher:
    """Follows a launcher's events and sends pages and the driver's note to a store as it runs."""

    def __init__(self, study: Remote, root: Path) -> None:
        self._study, self._root = study, root
        self._next = time.monotonic()

    def __call__(self, _: object = None) -> None:
        """Sends them, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        with contextlib.suppress(errors.UserError):  # out of reach for now: the last one says so
            self._study.push(self._root)
        self._next = time.monotonic() + SEND_SECONDS


def send(study: Remote, root: Path, trial: str, sent: Sent) -> None:
    """Sends what is new in a trial's folder, its result last.

    Args:
        study: where it is sent to.
        root: the study's mirror.
        trial: path of the trial from there.
        sent: (bytes, time of change) of what was sent before; brought up to date.
    """
    folder = root / trial
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    names = sorted(
        str(path.relative_to(folder).as_posix()) for path in files if _complete(path, folder)
    )
    for name in sorted(names, key=lambda name: name == RESULT_FILE):
        try:
            stat = (folder / name).stat()
            key = (stat.st_size, stat.st_mtime_ns)
            if sent.get(name) == key:
                continue
            content = (folder / name).read_bytes()
        except FileNotFoundError:  # an old checkpoint, just removed
            continue
        study.write(f"{trial}/{name}", content)
        sent[name] = key
    _drop_old_checkpoints(study, folder, trial, sent)


def _drop_old_checkpoints(study: Remote, folder: Path, trial: str, sent: Sent) -> None:
    held = {name.split("/")[1] for name in sent if name.startswith(f"{_CHECKPOINTS}/")}
    for step in held:
        if not (folder / _CHECKPOINTS / step).exists():
            study.remove(f"{trial}/{_CHECKPOINTS}/{step}")
            for name in [name for name in sent if name.startswith(f"{_CHECKPOINTS}/{step}/")]:
                del sent[name]


class Copier:
    """Sends a trial's folder now and then while it runs, from a thread of its own."""

    def __init__(self, study: Remote, root: Path, trial: str) -> None:
        self._study, self._root, self._trial = study, root, trial
        self._sent: Sent = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(SEND_SECONDS):
            with contextlib.suppress(Exception):  # the last copy says what is wrong
                send(self._study, self._root, self._trial, self._sent)

    def finish(self) -> str:
        """Sends the rest; "" or what went wrong."""
        self._over.set()
        self._thread.join()
        try:
            send(self._study, self._root, self._trial, self._sent)
        except Exception as error:  # whatever a store raises
            return f"cannot send it to {self._study.url}: {line(error)}"
        return ""


def trial_path(job: Job) -> str:
    """Where a job's trial is within its study."""
    return job.folder.relative_to(mirror(job.url)).as_posix()


def offer(job: Job) -> None:
    """Puts what a worker needs into a trial's folder, and aside what does not belong there.

    Raises:
        UserError: the store cannot be written.
    """
    if not job.url:
        return
    study, trial = Remote(job.url), trial_path(job)
    with explained(job.url):
        config = (job.folder / CONFIG_FILE).read_bytes()
        there = study.read(f"{trial}/{CONFIG_FILE}")
        if there is not None and not _same_config(config, there):
            study.set_aside(trial)
        study.set_aside(f"{trial}/{RESULT_FILE}")
        study.write(f"{trial}/{CONFIG_FILE}", config)


def collect(job: Job, rank: int = 0) -> str:
    """Brings back what a worker left of a trial; "" or why it could not.

    Args:
        job: the trial's.
        rank: of the process whose log is wanted, too.
    """
    try:
        Remote(job.url).fetch_light(mirror(job.url), trial_path(job), child.log_name(rank))
    except Exception as error:  # every store has errors of its own
        return f"cannot fetch it from {job.url}: {line(error)}"
    return ""


def note(job: Job) -> None:
    """Brings the note of a failure, or that there is none, to where the study is."""
    if not job.url:
        return
    study, name = Remote(job.url), f"{trial_path(job)}/{FAILURE_FILE}"
    path = job.folder / FAILURE_FILE
    with contextlib.suppress(Exception):  # the reason is reported all the same
        if path.exists():
            study.write(name, path.read_bytes())
        else:
            study.remove(name)


def open_trial(url: str, trial: str, *, first: bool) -> Copier | None:
    """Readies a trial's folder on a worker's machine.

    Args:
        url: of the study.
        trial: path from there.
        first: whether this is the trial's first process, the one that writes.

    Returns:
        What sends the folder back; None where another process does.

    Raises:
        UserError: the store cannot be read.
    """
    study, root = Remote(url), mirror(url)
    with explained(url):
        config = study.read(f"{trial}/{CONFIG_FILE}")
        here = root / trial / CONFIG_FILE
        if config and here.is_file() and not _same_config(config, here.read_bytes()):
            shutil.rmtree(here.parent)  # a mirror of what was there before
        study.fetch(root, trial)
        content = json.loads(config or b"{}")
        arms = PurePosixPath(trial).parent.parent
        for name in content.get("eval", {}).get("members", ()):  # trials that this one scores
            if not FOLDER_NAME.fullmatch(str(name)):
                raise errors.UserError(f"{name!r} in {trial}/{CONFIG_FILE} is no name of an arm")
            study.fetch(root, str(arms / str(name) / PurePosixPath(trial).name))
    return Copier(study, root, trial) if first else None


def _same_config(one: bytes, other: bytes) -> bool:
    try:
        return store.matches(json.loads(one), json.loads(other))
    except (ValueError, AttributeError):
        return False


def _complete(path: Path, folder: Path) -> bool:
    """Whether a file is one to send: no file of the moment, no checkpoint that is being written."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return False
    return parts[0] != _CHECKPOINTS or (len(parts) > 2 and parts[1].isdecimal())

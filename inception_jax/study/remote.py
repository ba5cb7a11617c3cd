"""A study in a store that fsspec reaches (S3, GCS, ...): the same layout, mirrored where it runs.

Driver and workers use an ordinary local folder, the mirror of the study's URL. A worker fetches its
trial's folder before it starts and sends it back, now and then while it runs and once at its end,
`result.json` last: what has a result has everything else. Every object is written whole or not at
all by the store itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from inception_jax import errors

RESULT_FILE, CONFIG_FILE = "result.json", "config.json"
SEND_SECONDS = 60.0  # between two copies of a trial that runs
# What a trial's folder holds for reports; its checkpoints and parameters are fetched by workers.
_LIGHT = (CONFIG_FILE, RESULT_FILE, "failure.json", "metrics.jsonl", "log.txt", "predictions.npz")
_CHECKPOINTS = "checkpoints"


def is_url(workdir: str | Path) -> bool:
    """Whether a study's folder is named by a URL."""
    return "://" in str(workdir)


def mirror(url: str) -> Path:
    """The local folder that mirrors a URL on this machine."""
    from inception_jax.data import storage

    name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return storage.cache_folder("").parent / "studies" / name


def for_reading(workdir: str | Path) -> Path:
    """The folder itself, or a fresh mirror of what is behind a URL.

    Raises:
        UserError: nothing can be read there.
    """
    if not is_url(workdir):
        return Path(workdir)
    study = Remote(str(workdir))
    root = mirror(str(workdir))
    study.pull(root)
    return root


class Remote:
    """A folder behind a URL."""

    def __init__(self, url: str) -> None:
        """Reaches for the file system.

        Args:
            url: as s3://bucket/folder.

        Raises:
            UserError: its file system is unknown, or its package is not installed.
        """
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise errors.UserError(
                f"cannot reach {url}: {str(error).splitlines()[0]}; s3:// needs "
                "inception-jax[s3], gs:// needs inception-jax[gcs]"
            ) from None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        try:
            return self._files.cat_file(self._path(name))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """Writes an object whole."""
        self._make_room(name)
        path = self._path(name)
        if "file" not in _protocols(self._files):
            self._files.pipe_file(path, content)
            return
        # a plain disk writes in pieces: beside its place, then renamed
        self._files.pipe_file(f"{path}.part", content)
        self._files.mv(f"{path}.part", path)

    def remove(self, name: str) -> None:
        """Removes an object, or a folder with all it holds, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(self._path(name), recursive=True)

    def set_aside(self, name: str) -> None:
        """Renames an object or a folder out of the way, if it is there."""
        path = PurePosixPath(self._path(name))
        if not self._files.exists(str(path)):
            return
        number = 1
        while self._files.exists(
            target := str(path.with_name(f".{path.name}.aside-{number}"))
        ):
            number += 1
        self._files.mv(str(path), target, recursive=True)

    def _make_room(self, name: str) -> None:
        parent = str(PurePosixPath(self._path(name)).parent)
        self._files.makedirs(parent, exist_ok=True)

    def sizes(self, name: str = "") -> dict[str, int]:
        """Bytes of every object below a folder, by its path from there."""
        base = self._path(name)
        try:
            found = self._files.find(base, detail=True)
        except FileNotFoundError:
            return {}
        # a name that leaves the folder, as a hostile store may list it, is no name
        names = {path[len(base) :].lstrip("/"): entry["size"] for path, entry in found.items()}
        return {name: size for name, size in names.items() if _inside(name)}

    def pull(self, root: Path) -> None:
        """Fetches what reports need: descriptions and light files, not parameters.

        Raises:
            UserError: the store cannot be read.
        """
        with _explained(self.url):
            for name, size in self.sizes().items():
                path = PurePosixPath(name)
                wanted = path.name in _LIGHT if len(path.parts) == 4 else len(path.parts) == 1
                if path.parts[0] == "search":
                    wanted = path.name in _LIGHT or len(path.parts) == 2
                if wanted and not path.name.startswith("."):
                    self._fetch(name, root / name, size)

    def push(self, root: Path, names: Iterable[str]) -> None:
        """Sends files of the study's own folder.

        Raises:
            UserError: the store cannot be written.
        """
        with _explained(self.url):
            for name in names:
                if (root / name).is_file():
                    self.write(name, (root / name).read_bytes())

    def _fetch(self, name: str, target: Path, size: int) -> None:
        if target.is_file() and target.stat().st_size == size and target.name != RESULT_FILE:
            return
        content = self.read(name)
        if content is None:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.fetched-{threading.get_ident()}")
        temporary.write_bytes(content)
        temporary.replace(target)

    def fetch(self, root: Path, trial: str) -> None:
        """Fetches everything of a trial."""
        for name, size in self.sizes(trial).items():
            if not PurePosixPath(name).name.startswith("."):
                self._fetch(f"{trial}/{name}", root / trial / name, size)

    def fetch_light(self, root: Path, trial: str) -> None:
        """Fetches of a trial what reports need; of a result, everything else came before it."""
        for name in reversed(_LIGHT):  # the log and metrics first
            content = self.read(f"{trial}/{name}")
            if content is not None:
                target = root / trial / name
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}.fetched-{threading.get_ident()}")
                temporary.write_bytes(content)
                temporary.replace(target)

    def send(self, root: Path, trial: str, sent: dict[str, tuple[int, int]]) -> None:
        """Sends what is new in a trial's folder, its result last.

        Args:
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
            self.write(f"{trial}/{name}", content)
            sent[name] = key
        self._drop_old_checkpoints(folder, trial, sent)

    def _drop_old_checkpoints(
        self, folder: Path, trial: str, sent: dict[str, tuple[int, int]]
    ) -> None:
        held = {name.split("/")[1] for name in sent if name.startswith(f"{_CHECKPOINTS}/")}
        for step in held:
            if not (folder / _CHECKPOINTS / step).exists():
                self.remove(f"{trial}/{_CHECKPOINTS}/{step}")
                for name in [name for name in sent if name.startswith(f"{_CHECKPOINTS}/{step}/")]:
                    del sent[name]


class Copier:
    """Sends a trial's folder now and then while it runs, from a thread of its own."""

    def __init__(self, remote: Remote, root: Path, trial: str) -> None:
        self._remote, self._root, self._trial = remote, root, trial
        self._sent: dict[str, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(SEND_SECONDS):
            with contextlib.suppress(Exception):  # the last copy says what is wrong
                self._remote.send(self._root, self._trial, self._sent)

    def finish(self) -> str:
        """Sends the rest; "" or what went wrong."""
        self._over.set()
        self._thread.join()
        try:
            self._remote.send(self._root, self._trial, self._sent)
        except Exception as error:  # whatever a store raises
            return f"cannot send it to {self._remote.url}: {_line(error)}"
        return ""


def _complete(path: Path, folder: Path) -> bool:
    """Whether a file is one to send: no file of the moment, no checkpoint that is being written."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return False
    return parts[0] != _CHECKPOINTS or (len(parts) > 2 and parts[1].isdecimal())


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and not name.startswith("/") and "\\" not in name


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


@contextlib.contextmanager
def _explained(url: str):  # noqa: ANN202
    try:
        yield
    except errors.UserError:
        raise
    except Exception as error:  # every store has errors of its own
        raise errors.UserError(f"cannot use {url}: {_line(error)}") from error

"""A study in a store that fsspec reaches (S3, GCS, ...): the same layout, mirrored where it runs.

Driver and workers use an ordinary local folder, the mirror of the study's URL. A worker fetches its
trial's folder before it starts and sends it back, now and then while it runs and once at its end,
`result.json` last: what has a result has everything else. Every object is written whole or not at
all by the store itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from inception_jax import errors
from inception_jax.study import files
from inception_jax.study.files import CONFIG_FILE, RESULT_FILE

_PULLED_FILE = ".pulled.json"  # what the store said of each file when it was fetched
# What a trial's folder holds for reports; its checkpoints and parameters are fetched by workers.
_LIGHT = (CONFIG_FILE, RESULT_FILE, "failure.json", "metrics.jsonl", "log.txt", "predictions.npz")


def is_url(workdir: str | Path) -> bool:
    """Whether a study's folder is named by a URL."""
    return "://" in str(workdir)


def mirror(url: str) -> Path:
    """The local folder that mirrors a URL on this machine."""
    from inception_jax.data import storage

    name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return storage.cache_folder("").parent / "studies" / name


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
        while self._files.exists(target := str(path.with_name(f".{path.name}.aside-{number}"))):
            number += 1
        self._files.mv(str(path), target, recursive=True)

    def _make_room(self, name: str) -> None:
        parent = str(PurePosixPath(self._path(name)).parent)
        self._files.makedirs(parent, exist_ok=True)

    def sizes(self, name: str = "") -> dict[str, int]:
        """Bytes of every object below a folder, by its path from there."""
        return {path: entry["size"] for path, entry in self._find(name).items()}

    def _stamps(self) -> dict[str, str]:
        """Of every object what its store says of its content and age; "" where it says nothing."""

        def stamp(entry: Mapping[str, Any]) -> str:
            # a digest or a time; by the names that S3, GCS, Azure, disks and memory give them
            keys = ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime", "created")
            found = {key: str(entry[key]) for key in keys if entry.get(key)}
            return json.dumps([entry["size"], found]) if found else ""

        return {path: stamp(entry) for path, entry in self._find("").items()}

    def _find(self, name: str) -> dict[str, Mapping[str, Any]]:
        base = self._path(name)
        self._files.invalidate_cache()  # other machines write there, too
        try:
            found = self._files.find(base, detail=True)
        except FileNotFoundError:
            return {}
        # a name that leaves the folder, as a hostile store may list it, is no name
        names = {
            path[len(base) + 1 :]: entry
            for path, entry in found.items()
            if path.startswith(f"{base}/")
        }
        return {name: entry for name, entry in names.items() if _inside(name)}

    def pull(self, root: Path, also: Sequence[str] = ()) -> None:
        """Brings a mirror up to date in what reports need: not with parameters, nor reports.

        What has not changed in the store since the last time is not fetched again.

        Args:
            root: the mirror.
            also: names of other files that are wanted.

        Raises:
            UserError: the store cannot be read.
        """
        with explained(self.url):
            there = {
                name: stamp
                for name, stamp in self._stamps().items()
                if name in also or _light(PurePosixPath(name))
            }
            index = root / _PULLED_FILE
            held = files.read_json(index)
            pulled = held if isinstance(held, dict) else {}
            for name, stamp in there.items():
                if not (stamp and pulled.get(name) == stamp and (root / name).is_file()):
                    self._fetch(name, root / name)
            # what has no result there has none: it was removed, or never arrived
            gone = [root / name for name in also if name not in there]
            for path in (*root.glob(f"**/trials/*/*/{RESULT_FILE}"), *gone):
                if path.relative_to(root).as_posix() not in there:
                    path.unlink(missing_ok=True)
            files.write_json(index, there)

    def push(self, root: Path) -> None:
        """Sends everything that is not a trial's: descriptions, costs, reports.

        Raises:
            UserError: the store cannot be written.
        """
        with explained(self.url):
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                name = path.relative_to(root)
                if "trials" not in name.parts and not any(p.startswith(".") for p in name.parts):
                    self.write(name.as_posix(), path.read_bytes())

    def _fetch(self, name: str, target: Path) -> None:
        if not _inside(name):  # it comes from another machine
            raise errors.UserError(f"{self.url} names {name!r}, which leads out of it")
        content = self.read(name)
        if content is None:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(
            f".{target.name}.fetched-{os.getpid()}-{threading.get_ident()}"
        )
        temporary.write_bytes(content)
        temporary.replace(target)

    def fetch(self, root: Path, trial: str) -> None:
        """Fetches everything of a trial that this machine lacks."""
        for name, size in self.sizes(trial).items():
            target = root / trial / name
            same = target.is_file() and target.stat().st_size == size
            # text may change and keep its size; arrays have digests that are checked
            if not (same and target.suffix not in (".json", ".jsonl", ".txt")):
                self._fetch(f"{trial}/{name}", target)

    def fetch_light(self, root: Path, trial: str, log: str = "log.txt") -> None:
        """Fetches of a trial what reports need, and this log of it."""
        for name in dict.fromkeys((*_LIGHT, log)):
            self._fetch(f"{trial}/{name}", root / trial / name)


def _light(path: PurePosixPath) -> bool:
    """Whether a file of a study is one that reports read."""
    if path.parts[0] == "search":  # a study of its own, with the same layout
        path = PurePosixPath(*path.parts[1:])
    if path.name.startswith("."):
        return False
    if len(path.parts) == 1:
        return path.suffix == ".json"
    return len(path.parts) == 4 and path.parts[0] == "trials" and path.name in _LIGHT


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and not name.startswith("/") and "\\" not in name


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Within, whatever a store raises is a UserError of one line."""
    try:
        yield
    except errors.UserError:
        raise
    except Exception as error:  # every store has errors of its own
        raise errors.UserError(f"cannot use {url}: {line(error)}") from error

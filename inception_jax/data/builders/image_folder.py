"""`folder`: a folder of images, one subfolder a class, read in place.

Options:
    path: the folder. It has train/ and test/ (and validation/ or val/) with the classes inside, or
        train/ and val/ alone, which is then tested on, or just the classes.
    color: "rgb" or "grey"; files of the other kind are converted.
    test_fraction: of each class, held out for testing where there is no test folder; a fixed split.

Class ids are the places of the folders' names in sorted order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.data import split
from inception_jax.data.bundle import check_choice, check_range, read_options
from inception_jax.data.decode import SUFFIXES
from inception_jax.data.sources import FolderSource, Source, SubsetSource

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


def read(options: Mapping[str, Any]) -> tuple[tuple[str, ...], int, dict[str, Source]]:
    """(class names, channels, split -> source) of an image folder.

    Raises:
        UserError: no such folder, no class or image in it, or a class that training does not have.
    """
    given = read_options("folder", options, {"path": "", "color": "rgb", "test_fraction": 0.2})
    check_choice("folder", "color", given["color"], ("rgb", "grey"))
    check_range("folder", "test_fraction", given["test_fraction"], 0.001, 0.9)
    root = _root(given["path"])
    channels = 1 if given["color"] == "grey" else 3
    folders = _split_folders(root)
    names = _subfolders(folders["train"])
    if len(names) < 2:
        raise errors.UserError(
            f"{folders['train']} has {len(names)} class folders, expected at least 2: "
            "one subfolder of images a class"
        )
    sources: dict[str, Source] = {
        role: _source(folder, names, channels) for role, folder in folders.items()
    }
    if "test" not in sources:
        whole = sources["train"]
        held = round(len(whole) * given["test_fraction"])
        kept, test = split.holdout(len(whole), held, seed=0, labels=whole.labels())
        sources |= {"train": SubsetSource(whole, kept), "test": SubsetSource(whole, test)}
    for role, source in sources.items():
        if not len(source):
            raise errors.UserError(f"the {role} split of image folder {root} is empty")
    return names, channels, sources


def _root(path: str) -> Path:
    if not path:
        raise errors.UserError("data set 'folder' needs data.options.path, the folder of images")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise errors.UserError(f"data.options.path {path!r} is not a folder")
    return root


def _split_folders(root: Path) -> dict[str, Path]:
    """role -> folder with the classes; a validation split alone is what is tested on."""
    if not (root / "train").is_dir():
        return {"train": root}
    found = {
        role: root / name
        for role, choices in _NAMES.items()
        for name in choices
        if (root / name).is_dir()
    }
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    return found


def _subfolders(folder: Path) -> tuple[str, ...]:
    return tuple(
        sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
    )


def _source(folder: Path, names: tuple[str, ...], channels: int) -> FolderSource:
    unknown = sorted(set(_subfolders(folder)) - set(names))
    if unknown:
        raise errors.UserError(
            f"{folder} has the class {unknown[0]!r}, which the training folder does not have"
        )
    files: list[Path] = []
    classes: list[int] = []
    for label, name in enumerate(names):
        if (folder / name).is_dir():
            found = sorted(
                file
                for file in (folder / name).rglob("*")
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            )
            files += found
            classes += [label] * len(found)
    return FolderSource(tuple(files), tuple(classes), os.fspath(folder), channels)

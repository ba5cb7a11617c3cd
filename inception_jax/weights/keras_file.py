"""Reads Keras weights from HDF5 (of Keras 1 to 3) and from `.keras` archives, with h5py alone.

Keras numbers the layers of a network in the order of their creation, and every way to save them
keeps another order: by depth in the graph. So layers are found by the number in their name, never
by their place in the file. In the files of Keras 3 not even the groups are called after the layers:
`conv2d_5` is the sixth convolution by depth. There the layer's name stands in an attribute, or in
the archive's config.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = ("conv2d", "batch_normalization")
_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Keras 3 saves variables by number; the names, in the order in which a layer makes them
_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


class Ambiguous(ValueError):
    """The file does not say which layer is which."""


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """The weights of a `.h5` or `.weights.h5` as `conv0/kernel`, `conv0/beta`, ...

    Raises:
        Ambiguous: the layers' names cannot be told from the file.
        OSError, KeyError: a damaged file.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return _numbered(_layers(file, None))


def read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The weights of a `.keras` file, as `read_h5`."""
    import h5py

    config = json.loads(archive.read("config.json"))
    with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
        return _numbered(_layers(file, config))


def by_rank(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors named `conv2d_12/kernel`, `batch_normalization_12/beta`, ... as the files' are."""
    layers: dict[str, dict[str, Any]] = {}
    for name, value in tensors.items():
        layer, _, variable = name.removesuffix(":0").rpartition("/")
        layers.setdefault(layer.rpartition("/")[2], {})[variable] = value
    return _numbered(layers)


def _layers(file: Any, config: dict[str, Any] | None) -> dict[str, dict[str, np.ndarray]]:
    """Layer's name -> variable's name -> values."""
    import h5py

    layers: dict[str, dict[str, np.ndarray]] = {}
    groups = None

    def visit(path: str, item: Any) -> None:
        nonlocal groups
        if not isinstance(item, h5py.Dataset):
            return
        parts = path.split("/")
        variable = parts[-1].removesuffix(":0")
        if parts[-2] == "vars":
            if groups is None:
                groups = _group_names(config)
            given = file["/".join(parts[:-1])].attrs.get("name")
            layer = str(given) if given else groups.get(parts[-3])
            if layer is None:
                raise Ambiguous(
                    "it numbers its layers by depth and does not name them; save it as .keras, or "
                    "with an older .h5 name"
                )
        else:
            layer = parts[-2]
        layers.setdefault(layer, {})[variable] = np.asarray(item)

    file.visititems(visit)
    return {name: _named(name, variables) for name, variables in layers.items()}


def _group_names(config: dict[str, Any] | None) -> dict[str, str]:
    """Group in the file -> layer's name: groups are called after classes, numbered in order."""
    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for layer in (config or {}).get("config", {}).get("layers", ()):
        kind = _SNAKE.sub("_", layer["class_name"]).lower().replace("conv2_d", "conv2d")
        names[f"{kind}_{seen[kind]}" if seen[kind] else kind] = layer["config"]["name"]
        seen[kind] += 1
    return names


def _named(layer: str, variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variables by name, where the file has numbers: the first ones are absent if any are."""
    if not variables or not all(name.isdecimal() for name in variables):
        return variables
    numbered = _NUMBERED.fullmatch(layer)
    names = _VARIABLES[numbered[1] if numbered else "dense"]
    if numbered and numbered[1] == "batch_normalization" and len(variables) == 3:
        names = names[1:]
    return {names[int(number)]: value for number, value in variables.items()}


def _numbered(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Convolutions and batch norms by rank of their number; other layers by name."""
    found: dict[str, Any] = {}
    for kind in _KINDS:
        matches = [_NUMBERED.fullmatch(name) for name in layers]
        ranked = sorted(int(m[2] or 0) for m in matches if m and m[1] == kind)
        for rank, number in enumerate(ranked):
            name = f"{kind}_{number}" if number else kind
            found |= {f"conv{rank}/{v}": value for v, value in layers[name].items()}
    for name, variables in layers.items():
        if not _NUMBERED.fullmatch(name):
            found |= {f"{name}/{v}": value for v, value in variables.items()}
    return found

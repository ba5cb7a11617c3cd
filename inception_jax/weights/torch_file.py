"""Reads the zip files that `torch.save` writes, without torch and without running any of them.

The pickle in such a file is read by an unpickler that knows three callables and the storage types,
the subset that `torch.load(weights_only=True)` allows for state dicts. Any other name is refused.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

_STORAGES: dict[str, Any] = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Refused(ValueError):
    """The pickle asks for something that a state dict does not need."""


def read(archive: zipfile.ZipFile) -> Any:
    """What was saved, tensors as NumPy arrays.

    Raises:
        Refused: a name outside of the allowed ones.
        Exception: whatever a damaged file makes pickle or NumPy raise.
    """
    (pickled,) = [n for n in archive.namelist() if n.endswith("/data.pkl") or n == "data.pkl"]
    prefix = pickled.removesuffix("data.pkl")
    order = "little"
    if prefix + "byteorder" in archive.namelist():
        order = archive.read(prefix + "byteorder").decode()
    return _Unpickler(archive, prefix, order).load()


class _Unpickler(pickle.Unpickler):
    """Knows how a state dict is pickled, and nothing else."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str, order: str) -> None:
        super().__init__(io.BytesIO(archive.read(prefix + "data.pkl")), encoding="latin1")
        self._archive, self._prefix, self._order = archive, prefix, order
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return np.dtype(_STORAGES[name])
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) not in known:
            raise Refused(f"its pickle asks for {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise Refused(f"its pickle asks for an object of kind {kind!r}")
        if key not in self._storages:
            stored = dtype.newbyteorder("<" if self._order == "little" else ">")
            data = np.frombuffer(self._archive.read(f"{self._prefix}data/{key}"), stored)
            if len(data) < count:
                raise ValueError(f"storage {key} is cut off")
            self._storages[key] = data
        return self._storages[key]


def _tensor(
    storage: np.ndarray, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
) -> np.ndarray:
    """The view of a storage that is one tensor, copied."""
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 in size:
        return np.empty(size, storage.dtype)
    if offset < 0 or min((0, *stride)) < 0 or last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    return data


def tensors(saved: Any) -> Mapping[str, Any]:
    """The state dict in what was saved: itself, or under the usual names of a checkpoint."""
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(saved, Mapping) and isinstance(saved.get(name), Mapping):
            saved = saved[name]
    if not isinstance(saved, Mapping):
        raise Refused(f"it holds a {type(saved).__name__}, not a state dict")
    return {key.removeprefix("module."): value for key, value in saved.items()}

"""Reads the files that `torch.save` writes, without torch and without running any of them.

There are two forms: a zip file of a pickle and one member a storage, and, before torch 1.6, five
pickles in a row with the storages behind them. Their pickles are read by an unpickler that knows
how to put a tensor together and nothing else, less than `torch.load(weights_only=True)` allows.
Any other name is refused.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from inception_jax.weights.training_state import AVERAGE

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
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the old form
_PROTOCOL = 1001  # the second


class Refused(ValueError):
    """The pickle asks for something that a state dict does not need."""


class _Storage:
    """Where tensors look into: its values are there when the whole file is read."""

    __slots__ = ("count", "dtype", "values")

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.values: np.ndarray | None = None


class _Tensor:
    """A tensor that is still to be cut from its storage."""

    __slots__ = ("offset", "size", "storage", "stride")

    def __init__(
        self, storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
    ) -> None:
        if not isinstance(storage, _Storage):
            raise Refused("its pickle makes a tensor of something that is no storage")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def values(self) -> np.ndarray:
        """The part of the storage that is the tensor, copied."""
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if 0 in self.size:
            return np.empty(self.size, self.storage.dtype)
        whole = self.storage.values
        if whole is None:
            raise ValueError("a storage is missing")
        negative = min((self.offset, *self.size, *self.stride)) < 0
        if negative or last >= len(whole) or math.prod(self.size) > len(whole):
            raise ValueError("a tensor reaches beyond its storage")
        steps = [s * whole.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(whole[self.offset :], self.size, steps).copy()


def _parameter(data: Any, *_: Any) -> Any:
    return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Unpickler(pickle.Unpickler):
    """Knows how a state dict is pickled, and nothing else."""

    def __init__(self, file: Any, storage: Callable[[str, np.dtype, int], _Storage]) -> None:
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) not in _KNOWN:
            raise Refused(f"its pickle asks for {module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _, count, *view = pid
        if word != "storage" or kind not in _STORAGES:
            raise Refused(f"its pickle asks for an object of kind {word!r}")
        if view and view[0] is not None:
            raise Refused("its pickle asks for a view of a storage, as torch before 0.4 wrote it")
        return self._storage(str(key), np.dtype(_STORAGES[kind]), int(count))


def read_zip(archive: zipfile.ZipFile) -> Mapping[str, Any]:
    """The state dict in a file of the present form, tensors as NumPy arrays.

    Raises:
        Refused: a name outside of the allowed ones, or no state dict.
        Exception: whatever a damaged file makes pickle or NumPy raise.
    """
    (pickled,) = [n for n in archive.namelist() if n.endswith("/data.pkl") or n == "data.pkl"]
    prefix = pickled.removesuffix("data.pkl")
    order = "little"
    if prefix + "byteorder" in archive.namelist():
        order = archive.read(prefix + "byteorder").decode()
    storages: dict[str, _Storage] = {}

    def storage(key: str, dtype: np.dtype, count: int) -> _Storage:
        if key not in storages:
            found = storages[key] = _Storage(dtype, count)
            stored = dtype.newbyteorder("<" if order == "little" else ">")
            found.values = np.frombuffer(archive.read(f"{prefix}data/{key}"), stored)
            if len(found.values) < count:
                raise ValueError(f"storage {key} is cut off")
        return storages[key]

    return tensors(_Unpickler(io.BytesIO(archive.read(pickled)), storage).load())


def is_old(head: bytes) -> bool:
    """Whether a file that begins so is of the form before torch 1.6."""
    return _MAGIC.to_bytes(10, "little") in head


def read_old(path: Path) -> Mapping[str, Any]:
    """The state dict in a file of the form before torch 1.6, as `read_zip`."""
    storages: dict[str, _Storage] = {}

    def none(key: str, dtype: np.dtype, count: int) -> _Storage:
        raise Refused("its pickle asks for a storage before its state dict")

    def storage(key: str, dtype: np.dtype, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(dtype, count))

    with path.open("rb") as file:
        magic, protocol, machine = (_Unpickler(file, none).load() for _ in range(3))
        if magic != _MAGIC or protocol != _PROTOCOL:
            raise ValueError("its header is not torch's")
        saved = _Unpickler(file, storage).load()
        order = "<" if machine.get("little_endian", True) else ">"
        for key in _Unpickler(file, none).load():
            found = storages[key]
            (count,) = struct.unpack(order + "q", file.read(8))
            size = count * found.dtype.itemsize
            if count < found.count or size > path.stat().st_size - file.tell():
                raise ValueError(f"storage {key} is cut off")
            found.values = np.frombuffer(file.read(size), found.dtype.newbyteorder(order))
    return tensors(saved)


def tensors(saved: Any) -> dict[str, Any]:
    """The state dict in what was saved: itself, or under the usual names of a checkpoint.

    Averages of a run beside it (timm's, torchvision's) are there under `training_state.AVERAGE`.
    """
    averages: Any = {}
    for name in ("state_dict_ema", "model_ema"):
        if isinstance(saved, Mapping) and isinstance(saved.get(name), Mapping):
            averages = saved[name]
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(saved, Mapping) and isinstance(saved.get(name), Mapping):
            saved = saved[name]
    if not isinstance(saved, Mapping):
        kind = "tensor" if isinstance(saved, _Tensor) else type(saved).__name__
        raise Refused(f"it holds a {kind}, not a state dict")
    return _flat(saved) | {name + AVERAGE: value for name, value in _flat(averages).items()}


def _flat(state: Mapping[Any, Any]) -> dict[str, Any]:
    """Tensors by name, without the name of a parallel wrapper."""
    return {
        str(key).removeprefix("module."): value.values() if isinstance(value, _Tensor) else value
        for key, value in state.items()
    }

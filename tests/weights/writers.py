"""Files in other frameworks' formats, written by the formats' descriptions alone."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class _Storage:
    """Stands for a torch storage while pickling."""

    def __init__(self, kind: type, key: str, count: int) -> None:
        self.kind, self.key, self.count = kind, key, count


class _Tensor:
    def __init__(self, storage: _Storage, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape


def torch_zip(path: Path, tensors: Mapping[str, np.ndarray], extra: Any = None) -> None:
    """As `torch.save(state_dict)`: a zip file of data.pkl and one file a storage."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors, extra, ()))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())


def torch_old(
    path: Path, tensors: Mapping[str, np.ndarray], extra: Any = None, view: Any = None
) -> None:
    """As `torch.save(state_dict)` before 1.6: pickles in a row, then sizes and values."""
    machine = {
        "protocol_version": 1001, "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }  # fmt: skip
    parts = [pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, machine)]
    parts.append(_pickled(tensors, extra, (view,)))
    keys = [str(i) for i in reversed(range(len(tensors)))]  # their order is free
    parts.append(pickle.dumps(keys, protocol=2))
    values = list(tensors.values())
    for key in keys:
        array = values[int(key)]
        parts.append(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(b"".join(parts))


def _pickled(tensors: Mapping[str, np.ndarray], extra: Any, more: tuple[Any, ...]) -> bytes:
    """A state dict as torch pickles it; `more` ends the name of each storage."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kinds = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
    for name in kinds.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_: Any) -> None:
        """Named as torch's; never called here."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, _Storage):
                return ("storage", obj.kind, obj.key, "cpu", obj.count, *more)
            return None

        def reducer_override(self, obj: Any) -> Any:
            if not isinstance(obj, _Tensor):
                return NotImplemented
            strides = tuple(int(np.prod(obj.shape[i + 1 :])) for i in range(len(obj.shape)))
            hooks: Any = collections.OrderedDict()
            return _rebuild_tensor_v2, (obj.storage, 0, obj.shape, strides, False, hooks)

    saved: Any = collections.OrderedDict()
    for i, (name, array) in enumerate(tensors.items()):
        kind = getattr(torch, kinds[array.dtype.name])
        saved[name] = _Tensor(_Storage(kind, str(i), array.size), array.shape)
    if extra is not None:
        saved["extra"] = extra
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        out = io.BytesIO()
        Pickler(out, protocol=2).dump(saved)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return out.getvalue()


def checkpoint_v2(prefix: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """A TensorFlow V2 checkpoint: PREFIX.index and PREFIX.data-00000-of-00001."""
    data = bytearray()
    entries = {b"": _integer(1, 1)}
    for name in sorted(tensors):
        array = tensors[name]
        fields = _integer(1, _TYPES[array.dtype.name]) + _message(2, _shape(array.shape))
        fields += _integer(4, len(data)) + _integer(5, array.nbytes)
        entries[name.encode()] = fields
        data += array.tobytes()
    Path(f"{prefix}.index").write_bytes(_table(entries))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


def checkpoint_v1(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """A TensorFlow V1 checkpoint of float32: everything in one table."""
    metas = b""
    entries: dict[bytes, bytes] = {}
    for i, name in enumerate(sorted(tensors)):
        array = tensors[name]
        named = _message(1, name.encode())
        metas += _message(1, named + _message(2, _shape(array.shape)) + _integer(3, 1))
        tensor = _integer(1, 1) + _message(5, array.tobytes())
        entries[f"{i:06d}{name}".encode()] = _message(2, named + _message(3, tensor))
    path.write_bytes(_table({b"": _message(1, metas), **entries}))


_TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _shape(shape: tuple[int, ...]) -> bytes:
    return b"".join(_message(2, _integer(1, n)) for n in shape)


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys share prefixes with the one before; every sixteenth is whole."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % 16 == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value))
        out += key[shared:] + value
        last = key
    return (
        out
        + b"".join(struct.pack("<I", r) for r in restarts or [0])
        + struct.pack("<I", len(restarts or [0]))
    )


def _table(entries: Mapping[bytes, bytes]) -> bytes:
    """LevelDB's sorted table: data blocks, an index of them, a footer."""
    ordered = sorted(entries.items())
    out, index = b"", []
    for start in range(0, len(ordered), 40):
        part = ordered[start : start + 40]
        block = _block(part)
        index.append((part[-1][0], _varint(len(out)) + _varint(len(block))))
        out += block + b"\0" + b"\0\0\0\0"
    handles = b""
    for block in (_block([]), _block(index)):
        handles += _varint(len(out)) + _varint(len(block))
        out += block + b"\0" + b"\0\0\0\0"
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)

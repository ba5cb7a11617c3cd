"""Reads TensorFlow checkpoints of both formats, without TensorFlow.

V2 is `PREFIX.index`, a sorted table of names, and `PREFIX.data-00000-of-00001` with the values. V1,
TF-slim's own of 2016, is one such table with the values inside. The table is LevelDB's: blocks of
prefix-compressed keys; what the keys lead to are protocol buffers, of which a handful of fields
matter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
# tensorflow/core/framework/types.proto
_TYPES: dict[int, Any] = {
    1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 14: ml_dtypes.bfloat16, 19: np.float16,
}  # fmt: skip


def is_table(tail: bytes) -> bool:
    """Whether a file's last bytes are those of a sorted table."""
    return len(tail) >= 8 and struct.unpack("<Q", tail[-8:])[0] == _MAGIC


def read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint.

    Args:
        path: the table: a V1 checkpoint, or the `.index` of a V2 one.

    Raises:
        ValueError, struct.error, IndexError, KeyError, OSError: a damaged or unknown file.
    """
    entries = dict(_entries(path.read_bytes()))
    if path.suffix == ".index":
        return _read_v2(path.with_suffix(""), entries)
    return _read_v1(entries)


def _read_v2(prefix: Path, entries: dict[bytes, bytes]) -> dict[str, np.ndarray]:
    header = _fields(entries.pop(b""))
    shards = _one(header, 1, 1)
    data = {
        i: np.memmap(f"{prefix}.data-{i:05d}-of-{shards:05d}", np.uint8, "r") for i in range(shards)
    }
    tensors: dict[str, np.ndarray] = {}
    for key, value in entries.items():
        entry = _fields(value)
        if 7 in entry:
            raise ValueError(f"{key.decode()} is stored in slices")
        dtype, offset, size = _TYPES.get(_one(entry, 1)), _one(entry, 4), _one(entry, 5)
        if dtype is None:
            continue  # strings, such as the object graph of a TF 2 checkpoint
        raw = data[_one(entry, 3)][offset : offset + size]
        if len(raw) < size:
            raise ValueError(f"{key.decode()} lies beyond the end of its data file")
        tensors[key.decode()] = raw.copy().view(dtype).reshape(_shape(entry.get(2, [b""])[0]))
    return tensors


def _read_v1(entries: dict[bytes, bytes]) -> dict[str, np.ndarray]:
    meta = _fields(_fields(entries.pop(b""))[1][0])
    shapes = {}
    for item in map(_fields, meta[1]):
        shapes[item[1][0].decode()] = (_shape(item[2][0]), _TYPES.get(_one(item, 3)))
    tensors: dict[str, np.ndarray] = {}
    for value in entries.values():
        part = _fields(_fields(value)[2][0])
        name, tensor = part[1][0].decode(), _fields(part[3][0])
        shape, dtype = shapes[name]
        if dtype is not None:
            tensors[name] = _values(tensor, dtype).reshape(shape)
    return tensors


def _values(tensor: dict[int, list[Any]], dtype: Any) -> np.ndarray:
    """The numbers of a TensorProto: packed in the field of their type, or as raw content."""
    if 4 in tensor:
        return np.frombuffer(tensor[4][0], dtype)
    if dtype in (np.float32, np.float64):
        return np.frombuffer(b"".join(tensor[5 if dtype is np.float32 else 6]), dtype)
    field = {np.int32: 7, np.int64: 10}.get(dtype, 13)  # 13 is half precision, as its bits
    packed = b"".join(tensor[field])
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    numbers = np.array(values, np.uint64)
    return numbers.astype(np.uint16).view(dtype) if field == 13 else numbers.astype(dtype)


def _shape(proto: bytes) -> tuple[int, ...]:
    """The sizes of a TensorShapeProto."""
    return tuple(_one(_fields(dim), 1) for dim in _fields(proto).get(2, []))


def _one(fields: dict[int, list[Any]], number: int, default: int = 0) -> int:
    return fields.get(number, [default])[0]


def _fields(message: bytes) -> dict[int, list[Any]]:
    """A protocol buffer as field number -> values: integers, or bytes."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                length, at = _varint(message, at)
            if length is None or at + length > len(message):
                raise ValueError("a message is cut off")
            value, at = message[at : at + length], at + length
        fields.setdefault(number, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted table, through its index of blocks."""
    footer = table[-_FOOTER:]
    if not is_table(footer):
        raise ValueError("it is not a TensorFlow checkpoint, or its end is missing")
    at = 0
    for _ in range(2):  # the meta index, which nothing needs
        _, at = _varint(footer, at)
    for _, handle in _block(table, footer[at:]):
        yield from _block(table, handle)


def _block(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    block, kind = table[offset : offset + size], table[offset + size]
    if kind:
        raise ValueError("its blocks are compressed")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = size - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length

"""Reads a file of weights of any format into tensors by name; runs nothing that it holds."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.weights import keras_file, tensorflow_file, torch_file

Tensors = dict[str, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FORMATS = ".safetensors, torch's files, .h5, .keras, TensorFlow checkpoints and .npz"
_INDEX = ".index.json"  # the end of the name of an index of shards


def read(path: str | os.PathLike[str]) -> Tensors:
    """The tensors of a file by name.

    Args:
        path: a file, the prefix of a TensorFlow checkpoint, or an index of shards
            (`model.safetensors.index.json`), which lie beside it.

    Raises:
        UserError: no such file, a damaged one, or one of no known format, in one line.
    """
    path = Path(path)
    if not path.is_file() and path.with_name(path.name + ".index").is_file():
        path = path.with_name(path.name + ".index")
    if not path.is_file():
        raise errors.UserError(f"no file of weights at {path}")
    try:
        return dict(_reader(path)(path))
    except errors.UserError:
        raise
    except PermissionError as error:
        raise errors.UserError(f"{path} cannot be read: {error.strerror}") from error
    except ImportError as error:
        raise errors.UserError(
            f"reading {path.name} needs {error.name}; install inception-jax[weights]"
        ) from error
    except torch_file.Refused as error:
        raise errors.UserError(
            f"{path} is refused: {error}; only plain state dicts are read, save one as .safetensors"
        ) from error
    except keras_file.Ambiguous as error:
        raise errors.UserError(f"{path} cannot be mapped: {error}") from error
    except Exception as error:  # whatever a damaged file makes a parser raise
        raise errors.UserError(f"{path} is damaged or cut off ({_brief(error)})") from error


def _reader(path: Path) -> Callable[[Path], Mapping[str, Any]]:
    """The reader for a file, by what it begins and ends with."""
    with path.open("rb") as file:
        head = file.read(32)
        file.seek(max(0, path.stat().st_size - 8))
        tail = file.read()
    if head.startswith(b"PK"):
        return _read_zip
    if head.startswith(_HDF5):
        return keras_file.read_h5
    if tensorflow_file.is_table(tail):
        return tensorflow_file.read
    if path.name.endswith(_INDEX):
        return _read_shards
    if head[8:9] == b"{":
        return _read_safetensors
    if torch_file.is_old(head):
        return torch_file.read_old
    if path.suffix == ".data-00000-of-00001":
        raise errors.UserError(f"{path} has the values of a checkpoint; name its .index file")
    if head.startswith(b"\x80"):
        raise errors.UserError(
            f"{path} is a bare pickle, which could run code: it is not opened; load it where you "
            "trust it and save its state dict as .safetensors"
        )
    if path.suffix in (".h5", ".hdf5", ".keras", ".pth", ".pt", ".npz", ".index", ".safetensors"):
        raise errors.UserError(f"{path} is damaged, cut off or no {path.suffix} file")
    raise errors.UserError(f"{path} is in no known format; known are {_FORMATS}")


def _read_zip(path: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "model.weights.h5" in names:
            return keras_file.read_archive(archive)
        if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
            return torch_file.read_zip(archive)
        if names and all(n.endswith(".npy") for n in names):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    raise ValueError("a zip file, but neither torch's nor Keras's nor NumPy's")


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    import safetensors.numpy

    return safetensors.numpy.load_file(path)


def _read_shards(path: Path) -> Mapping[str, Any]:
    """The tensors of every file that an index names, each from where the index says."""
    index = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    found: Tensors = {}
    for name in sorted(set(index.values())):
        if Path(name).name != name:
            raise ValueError(f"it names {name!r}, which does not lie beside it")
        shard = read(path.with_name(name))
        missing = [tensor for tensor, file in index.items() if file == name and tensor not in shard]
        if missing:
            raise errors.UserError(f"{name} has no {missing[0]}, which {path.name} says is there")
        found |= {tensor: shard[tensor] for tensor, file in index.items() if file == name}
    return found


def write(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors as `.safetensors` or `.npz`, whole or not at all.

    Raises:
        UsageError: another ending.
        UserError: the place cannot be written, or safetensors is not installed.
    """
    from inception_jax import files

    path = Path(path)
    if path.suffix not in (".safetensors", ".npz"):
        raise errors.UsageError(f"{path.name} must end with .safetensors or .npz")
    try:
        if path.suffix == ".npz":
            files.write_whole(path, lambda file: np.savez(file, **tensors))  # type: ignore[arg-type]
            return
        import safetensors.numpy

        # np.ascontiguousarray would make a vector of a scalar
        encoded = safetensors.numpy.save({k: np.asarray(v, order="C") for k, v in tensors.items()})
        files.write_whole(path, lambda file: file.write(encoded))
    except ImportError as error:
        raise errors.UserError(
            "writing .safetensors needs safetensors; install inception-jax[weights]"
        ) from error
    except OSError as error:
        raise errors.UserError(f"{path} cannot be written: {error.strerror}") from error


def _brief(error: Exception) -> str:
    """An exception in a line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120]}" if text else type(error).__name__

"""Random access to the examples of one split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inception_jax import errors
from inception_jax.data.decode import decode


@dataclasses.dataclass(frozen=True)
class Item:
    """An example as it is stored.

    Attributes:
        content: the encoded image, the file that has it, or uint8[H, W, C].
        label: its class.
        where: names it in an error.
        file_name: that the data set gives it, "" where it gives none.
    """

    content: bytes | Path | np.ndarray
    label: int
    where: str
    file_name: str = ""

    def decoded(self, channels: int) -> dict[str, Any]:
        """`{"image": uint8[H, W, channels], "label": int}`."""
        content = self.content
        if not isinstance(content, np.ndarray):
            content = decode(content, channels, self.where)
        return {"image": content, "label": self.label}


class Source(Protocol):
    """The examples of one split: `{"image": uint8[H, W, C], "label": int}` by index."""

    def __len__(self) -> int: ...

    def item(self, index: int) -> Item:
        """The example, not decoded."""
        ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def labels(self) -> np.ndarray:
        """int32[N] labels, without decoding an image."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class RecordSource:
    """A split of a TFDS data set, decoded here and not by TFDS.

    Attributes:
        records: of `as_data_source` with `SkipDecoding` for the image.
        name: data set and split, for errors and `repr`.
        channels: 1 or 3.
    """

    records: Sequence[Mapping[str, Any]]
    name: str
    channels: int

    def __len__(self) -> int:
        return len(self.records)

    def item(self, index: int) -> Item:
        """The example, not decoded.

        Raises:
            UserError: its record cannot be read.
        """
        where = f"{self.name}[{index}]"
        try:
            record = self.records[int(index)]
        except Exception as error:  # whatever array_record makes of a file that is gone or damaged
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise errors.UserError(
                f"cannot read {where}: {reason}; is the prepared data still there?"
            ) from error
        image, label = record["image"], int(record["label"])
        if isinstance(image, np.ndarray) and image.ndim == 3:  # stored as an array
            return Item(image, label, where)
        name = record.get("file_name", "")
        name = name.decode() if isinstance(name, bytes) else str(name)
        return Item(bytes(image), label, f"{where} ({name})" if name else where, name)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.item(index).decoded(self.channels)

    def labels(self) -> np.ndarray:
        """int32[N] labels, without decoding an image."""
        return np.array([int(record["label"]) for record in self.records], np.int32)

    def __repr__(self) -> str:
        return f"RecordSource({self.name!r}, {len(self)} examples)"


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files and their classes, read when they are asked for."""

    files: tuple[Path, ...]
    classes: tuple[int, ...]
    name: str
    channels: int

    def __len__(self) -> int:
        return len(self.files)

    def item(self, index: int) -> Item:
        """The example, not read yet."""
        file = self.files[index]
        return Item(file, self.classes[index], str(file), file.name)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.item(index).decoded(self.channels)

    def labels(self) -> np.ndarray:
        """int32[N] labels, from the folders' names."""
        return np.array(self.classes, np.int32)

    def __repr__(self) -> str:
        return f"FolderSource({self.name!r}, {len(self)} examples)"


@dataclasses.dataclass(frozen=True, eq=False)
class SubsetSource:
    """Some examples of another source, in the order of `indices` (int64[N])."""

    parent: Source
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def item(self, index: int) -> Item:
        """The example, not decoded."""
        return self.parent.item(int(self.indices[index]))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.parent[int(self.indices[index])]

    def labels(self) -> np.ndarray:
        """int32[N] labels, without decoding an image."""
        return self.parent.labels()[self.indices]

    def __repr__(self) -> str:
        return f"SubsetSource({self.parent!r}, {len(self)} examples)"

"""`load`: a data set by name, prepared where that is needed, with its splits by role."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.data import builders, named, split, storage
from inception_jax.data.sources import Source, SubsetSource

ROLES = ("train", "validation", "test")
# Decoded pixels of a split up to here are kept in memory, so that they are decoded once.
IN_MEMORY_BYTES = 256 * 2**20
# Of the validation split that is cut from the training split; the same for every run.
_HOLDOUT_SEED = 1


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a network and a schedule need to know of a data set.

    Attributes:
        name: as in `config.data.name`.
        num_classes: number of classes.
        class_names: one per class id.
        image_shape: (H, W, C) of every stored image, or None where they differ.
        channels: 1 or 3; the C of every batch.
        licence: of the images, None where the data set does not say.
        sizes: examples in each split: "train", "test" and, where there is one, "validation".
    """

    name: str
    num_classes: int
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    channels: int
    licence: str | None
    sizes: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Dataset(DatasetInfo):
    """A data set whose splits can be read; see `DatasetInfo` for its other attributes.

    Attributes:
        sources: split -> random access to its examples, decoded when they are asked for.
        folder: of a bundled data set, as it was prepared, where what is decoded may be kept; else
            None.
        memory: what the pipeline has decoded already, by split and geometry.
    """

    sources: Mapping[str, Source]
    folder: Path | None = None
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def source(self, split: str) -> Source:
        """The examples of a split, `{"image": uint8[H, W, C], "label": int}` by index.

        Raises:
            UserError: the data set has no such split.
        """
        if split not in self.sources:
            raise errors.UserError(
                f"data set {self.name!r} has no {split!r} split, only {', '.join(self.sources)}; "
                "set data.validation_fraction to cut one from the training split"
            )
        return self.sources[split]


# Data sets of TFDS that are known to work, for the list; any other can be named as well.
_TFDS: dict[str, str] = {
    "imagenet2012": "1,281,167 + 50,000 photographs, any size, 1,000 classes, non-commercial "
    "research (prepare once with TFDS; tested on its validation split)",
    "imagenette": "9,469 + 3,925 photographs of ImageNet, any size, 10 classes (TFDS)",
    "cifar10": "50,000 + 10,000 photographs, 32 px colour, 10 classes, licence unstated (TFDS)",
}
_FOLDER = "your own images: data.options.path, one subfolder a class"


def names() -> dict[str, str]:
    """Data set -> one line with its size, resolution, classes and licence."""
    return {**builders.BUNDLED, "folder": _FOLDER, **_TFDS}


def load(data: ConfigDict) -> Dataset:
    """The data set of `config.data`, prepared on first use; no image is decoded yet.

    Args:
        data: `config.data`; `name`, `dir`, `options` and `validation_fraction` are read.

    Raises:
        UsageError: no data set, or no option of it, has that name.
        UserError: it cannot be prepared or read; says what to do.
    """
    values: dict[str, Any] = data.to_dict()
    name, options, data_dir = values["name"], values["options"], values["dir"]
    if name in builders.BUNDLED:
        dataset = _bundled(name, options, data_dir)
    elif name == "folder":
        dataset = _folder(options)
    else:
        dataset = _of_tfds(name, options, data_dir)
    return _with_validation(dataset, values["validation_fraction"])


def info(data: ConfigDict) -> DatasetInfo:
    """What `load` says of the data set, without its examples."""
    dataset = load(data)
    fields = dataclasses.fields(DatasetInfo)
    return DatasetInfo(**{field.name: getattr(dataset, field.name) for field in fields})


def prepare_named(data: ConfigDict) -> Dataset:
    """As `load`, and prints what the data set is, its licence included."""
    dataset = load(data)
    sizes = ", ".join(f"{count:,} {split}" for split, count in dataset.sizes.items())
    shape = dataset.image_shape
    pixels = f"{shape[0]} x {shape[1]} px" if shape else "images of any size"
    print(f"{dataset.name}: {sizes}; {dataset.num_classes} classes; {pixels}")
    print(f"licence: {dataset.licence or 'not stated by the data set; see its home page'}")
    return dataset


def _bundled(name: str, options: Mapping[str, Any], data_dir: str) -> Dataset:
    bundle = builders.bundle(name, options)
    folder = storage.ensure_prepared(bundle, storage.cache_folder(data_dir))
    channels = bundle.image_shape[-1]
    sources = named.from_directory(folder, bundle.name, bundle.roles, channels)
    return Dataset(
        name=name,
        num_classes=len(bundle.class_names),
        class_names=bundle.class_names,
        image_shape=bundle.image_shape,
        channels=channels,
        licence=bundle.licence,
        sizes={role: len(sources[role]) for role in sources},
        sources=sources,
        folder=folder,
    )


def _folder(options: Mapping[str, Any]) -> Dataset:
    from inception_jax.data.builders import image_folder

    class_names, channels, sources = image_folder.read(options)
    return Dataset(
        name="folder",
        num_classes=len(class_names),
        class_names=class_names,
        image_shape=None,
        channels=channels,
        licence=None,
        sizes={role: len(source) for role, source in sources.items()},
        sources=sources,
    )


def _of_tfds(name: str, options: Mapping[str, Any], data_dir: str) -> Dataset:
    found = named.from_tfds(name, options, data_dir, known=names())
    return Dataset(
        name=name,
        num_classes=len(found.class_names),
        class_names=found.class_names,
        image_shape=found.image_shape,
        channels=found.channels,
        licence=found.licence,
        sizes={role: len(source) for role, source in found.sources.items()},
        sources=found.sources,
    )


def decoded_bytes(shape: tuple[int, int, int] | None, count: int) -> int | None:
    """Size of `count` decoded images, None where they have no common shape."""
    return None if shape is None else shape[0] * shape[1] * shape[2] * count


def _with_validation(dataset: Dataset, fraction: float) -> Dataset:
    """Cuts a validation split from the training split where there is none and one is wanted."""
    if fraction <= 0 or "validation" in dataset.sources:
        return dataset
    train = dataset.sources["train"]
    held = round(len(train) * fraction)
    if not 0 < held < len(train):
        raise errors.UserError(
            f"data.validation_fraction {fraction:g} of {len(train)} training examples leaves a "
            "split empty; choose another fraction"
        )
    # labels of a large data set would take minutes to read; there chance keeps the shares
    size = decoded_bytes(dataset.image_shape, len(train))
    cheap = dataset.name == "folder" or (size is not None and size <= IN_MEMORY_BYTES)
    kept, cut = split.holdout(
        len(train), held, _HOLDOUT_SEED, labels=train.labels() if cheap else None
    )
    sources = {
        "train": SubsetSource(train, kept),
        "validation": SubsetSource(train, cut),
        "test": dataset.sources["test"],
    }
    return dataclasses.replace(
        dataset,
        sources=sources,
        sizes={role: len(source) for role, source in sources.items()},
        folder=None,  # its splits are not those that were prepared
        memory={},
    )

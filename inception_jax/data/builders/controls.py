"""`controls`: synthetic images that prove the machinery of a study, since the truth is known.

Options:
    signal: "local", 4 classes: the class is the period of a grating (`PERIODS`) at a random angle
        and phase; a receptive field of a few pixels is enough. "pair", 2 classes: two marks lie
        `distance` px apart, each bright or dark; the class is whether they are alike.
    effect: how far the planted effect lowers test accuracy, as a fraction.
    draw: another one has other images, training and test, of the same distribution; nothing that
        follows from the options changes. A control that is repeated has one a repeat.
    order: reorders the training images and changes nothing else: with another order the same seed
        trains another network, of the same distribution.
    noise: standard deviation of the pixels' noise, grey levels; how hard the task is.
    distance: of the two marks' centres along a row or a column, px.
    size: side of the image, px.
    train, test: number of images; `test` divides by the number of classes.

Two kinds of effect can be planted, and one can be ruled out:

- Data. Of the N test images, g groups of K (the number of classes) are one image without a signal,
  shown K times, once under each label. Any classifier that gives the same answer to the same image
  is right exactly once in each group. So the best test accuracy is exactly 1 - g (K - 1) / N, and
  a network that is right on the share a of the other images has (1 - gK/N) a + g/N. `effect` is
  rounded to whole groups: `planted_effect` says what it became. Training images do not change, nor
  do the other test images: arms that differ in `effect` alone are trained bit for bit alike, and
  the difference is exact at once; give them another `order` to have noise as between other arms.
- Network. With "pair", a network whose receptive field does not reach both marks, followed by
  average pooling and a linear layer, adds what it sees of each mark: it can count bright marks but
  not compare two, so its expected accuracy is 1/2, while one that sees both can reach 1.
- Nothing. Arms that differ in `order` alone are the same treatment with independent noise (A/A).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.data.bundle import (
    Bundle,
    check_choice,
    check_range,
    encode_png,
    read_options,
)

PERIODS = (3.0, 4.0, 5.5, 8.0)  # px
CONTRAST = 40.0  # amplitude of the grating, grey levels
MARK = 2  # side of a mark, px
MARK_CONTRAST = 90.0  # grey levels from the background

Labelled = tuple[np.ndarray, int]  # uint8[H, W] and its class

_DEFAULTS: dict[str, Any] = {
    "signal": "local",
    "effect": 0.0,
    "draw": 0,
    "order": 0,
    "noise": 40.0,
    "distance": 8,
    "size": 16,
    "train": 2048,
    "test": 1200,
}
_CLASSES = {"local": tuple(f"period_{p:g}" for p in PERIODS), "pair": ("different", "alike")}


def bundle(options: Mapping[str, Any]) -> Bundle:
    """The synthetic images; see the module's docstring."""
    read = _read(options)
    names = _CLASSES[read["signal"]]
    return Bundle(
        name="controls",
        version="1.0.0",
        variant="_".join(
            f"{key}-{value:g}" if isinstance(value, float) else f"{key}-{value}"
            for key, value in read.items()
        ),
        image_shape=(read["size"], read["size"], 1),
        class_names=names,
        licence="synthetic: made by this package, no rights reserved",
        description="Synthetic images with a planted effect of known size.",
        sizes={"train": read["train"], "test": read["test"]},
        generate=lambda split: (
            (encode_png(image), label) for image, label in _SPLITS[split](read)
        ),
        roles={"train": ("train",), "test": ("test",)},
    )


def arrays(options: Mapping[str, Any], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[N, size, size, 1], int32[N]): the images and classes of a split, without files.

    Args:
        options: as `config.data.options`.
        split: "train" or "test".
    """
    images, labels = zip(*_SPLITS[split](_read(options)), strict=True)
    return np.stack(images)[..., None], np.array(labels, np.int32)


def planted_effect(options: Mapping[str, Any]) -> float:
    """1 minus the best test accuracy that a deterministic classifier can have, exactly.

    Args:
        options: as `config.data.options`.
    """
    read = _read(options)
    return _groups(read) * (len(_CLASSES[read["signal"]]) - 1) / read["test"]


def _read(options: Mapping[str, Any]) -> dict[str, Any]:
    read = read_options("controls", options, _DEFAULTS)
    check_choice("controls", "signal", read["signal"], tuple(_CLASSES))
    classes = len(_CLASSES[read["signal"]])
    check_range("controls", "effect", read["effect"], 0, (classes - 1) / classes)
    check_range("controls", "draw", read["draw"], 0, 2**31)
    check_range("controls", "order", read["order"], 0, 2**31)
    check_range("controls", "noise", read["noise"], 0, 255)
    check_range("controls", "size", read["size"], 8, 1024)
    check_range("controls", "distance", read["distance"], MARK, read["size"] - MARK)
    for split in ("train", "test"):
        check_range("controls", split, read[split], classes, 1_000_000)
        if read[split] % classes:
            raise errors.UserError(
                f"data.options.{split} of 'controls' is {read[split]}; "
                f"it must divide by its {classes} classes"
            )
    return read


def _groups(read: Mapping[str, Any]) -> int:
    classes = len(_CLASSES[read["signal"]])
    return round(read["effect"] * read["test"] / (classes - 1))


def _rng(read: Mapping[str, Any], *key: int) -> np.random.Generator:
    """The generator of one purpose in this draw."""
    draw = [read["draw"]] if read["draw"] else []  # the first is as it was before there were more
    return np.random.default_rng([0xC0117, *key, *draw])


def _train(read: Mapping[str, Any]) -> Iterator[Labelled]:
    rng = _rng(read, 0)
    classes = len(_CLASSES[read["signal"]])
    images = [_image(read, index % classes, rng) for index in range(read["train"])]
    for index in _rng(read, 2, read["order"]).permutation(len(images)):
        yield images[index], int(index % classes)


def _test(read: Mapping[str, Any]) -> Iterator[Labelled]:
    """Row r holds one image of each class; the first rows become groups without a signal."""
    classes = len(_CLASSES[read["signal"]])
    for row in range(read["test"] // classes):
        # one generator a row: the rows that stay are the same at every effect
        rng = _rng(read, 1, row)
        if row < _groups(read):
            blank = _finish(read, np.zeros((read["size"],) * 2), rng)
            yield from ((blank, label) for label in range(classes))
        else:
            for label in range(classes):
                yield _image(read, label, rng), label


_SPLITS: dict[str, Callable[[Mapping[str, Any]], Iterator[Labelled]]] = {
    "train": _train,
    "test": _test,
}


def _image(read: Mapping[str, Any], label: int, rng: np.random.Generator) -> np.ndarray:
    return _finish(read, _SIGNALS[read["signal"]](read, label, rng), rng)


def _finish(read: Mapping[str, Any], signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise and background on a f64[H, W] signal -> uint8[H, W]."""
    noisy = 127.5 + signal + rng.normal(0, 1, signal.shape) * read["noise"]
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _local(read: Mapping[str, Any], label: int, rng: np.random.Generator) -> np.ndarray:
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    y, x = np.mgrid[: read["size"], : read["size"]]
    along = np.cos(angle) * x + np.sin(angle) * y
    return CONTRAST * np.sin(2 * np.pi * along / PERIODS[label] + phase)


def _pair(read: Mapping[str, Any], label: int, rng: np.random.Generator) -> np.ndarray:
    signal = np.zeros((read["size"], read["size"]))
    room = read["size"] - MARK + 1
    across, along = rng.integers(room), rng.integers(room - read["distance"])
    first = rng.choice([-1.0, 1.0])
    second = first if label else -first
    signal[across : across + MARK, along : along + MARK] = first * MARK_CONTRAST
    along += read["distance"]
    signal[across : across + MARK, along : along + MARK] = second * MARK_CONTRAST
    return signal.T if rng.random() < 0.5 else signal


_SIGNALS: dict[str, Callable[..., np.ndarray]] = {"local": _local, "pair": _pair}

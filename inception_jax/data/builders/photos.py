"""`photos`: which photograph does this patch come from (the protocol of Brodatz's textures).

Options:
    patch_size: side of a patch, px; up to 146, what half of the smallest picture allows. It is cut
        at this size and resized to `data.image_size` when read, so the arms of a resolution study
        see the same patches.
    color: "grey", all 16 pictures; "rgb", the 9 colour pictures.
    train_per_class, validation_per_class, test_per_class: patches of each picture.

Every picture is cut into three parts that share no pixel and are `GAP` px apart: the left 60 % is
for training; of the right, the upper third (or the patch size, where that is more) is for
validation and the rest for testing. Patches lie at random inside their part; those of one part may
overlap. Flat ones (standard deviation under `FLAT` grey levels, such as the black corners around
the retina) are not drawn, since they belong to no picture.

A patch is standardised so that neither brightness nor contrast gives its picture away: each channel
is shifted and scaled to mean 127.5 and standard deviation 42.5, then rounded and clipped to
0..255, which is three standard deviations to either side.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inception_jax import errors
from inception_jax.data.bundle import (
    Bundle,
    Example,
    check_choice,
    check_range,
    encode_png,
    read_options,
)

_SKIMAGE = "scikit-image"
_SKLEARN = "scikit-learn"

# class name -> (package, file in it, is in colour, licence). Only pictures whose licence the
# package states; scikit-image's moon, page and motorcycle come without a word on theirs.
PICTURES: dict[str, tuple[str, str, bool, str]] = {
    "astronaut": (_SKIMAGE, "data/astronaut.png", True, "public domain (NASA)"),
    "brick": (_SKIMAGE, "data/brick.png", False, "CC0 (CC0Textures)"),
    "camera": (_SKIMAGE, "data/camera.png", False, "CC0 (Lav Varshney)"),
    "cell": (_SKIMAGE, "data/cell.png", False, "CC0 (Paul Müller et al.)"),
    "chelsea": (_SKIMAGE, "data/chelsea.png", True, "CC0 (Stefan van der Walt)"),
    "china": (_SKLEARN, "datasets/images/china.jpg", True, "CC BY 2.0 (danielbuechele)"),
    "clock": (_SKIMAGE, "data/clock_motion.png", False, "public domain (Stefan van der Walt)"),
    "coffee": (_SKIMAGE, "data/coffee.png", True, "CC0 (Rachel Michetti)"),
    "coins": (_SKIMAGE, "data/coins.png", False, "no known restrictions (Brooklyn Museum)"),
    "flower": (_SKLEARN, "datasets/images/flower.jpg", True, "CC BY 2.0 (vultilion)"),
    "grass": (_SKIMAGE, "data/grass.png", False, "CC0 (CC0Textures)"),
    "gravel": (_SKIMAGE, "data/gravel.png", False, "CC0 (CC0Textures)"),
    "hubble": (_SKIMAGE, "data/hubble_deep_field.jpg", True, "public domain (NASA)"),
    "ihc": (_SKIMAGE, "data/ihc.png", True, "no known restrictions (CMMI)"),
    "retina": (_SKIMAGE, "data/retina.jpg", True, "CC0 (Mikael Häggström)"),
    "rocket": (_SKIMAGE, "data/rocket.jpg", True, "public domain (SpaceX)"),
}
_MODULES = {_SKIMAGE: "skimage", _SKLEARN: "sklearn"}

TRAIN_WIDTH = 0.6  # of the picture
GAP = 8  # px between parts: a JPEG block, so that none belongs to two
FLAT = 4.0  # grey levels
MEAN, DEVIATION = 127.5, 42.5
_SPLITS = ("train", "validation", "test")


def bundle(options: Mapping[str, Any]) -> Bundle:
    """The patches; see the module's docstring for the options and the split."""
    read = read_options(
        "photos",
        options,
        {
            "patch_size": 32,
            "color": "grey",
            "train_per_class": 256,
            "validation_per_class": 64,
            "test_per_class": 128,
        },
    )
    check_choice("photos", "color", read["color"], ("grey", "rgb"))
    check_range("photos", "patch_size", read["patch_size"], 8, 146)
    counts = {split: read[f"{split}_per_class"] for split in _SPLITS}
    for split, count in counts.items():
        check_range("photos", f"{split}_per_class", count, 1, 100_000)
    in_color = read["color"] == "rgb"
    names = tuple(name for name, picture in PICTURES.items() if picture[2] or not in_color)
    patch = read["patch_size"]
    return Bundle(
        name="photos",
        version="1.0.0",
        variant=f"{patch}px_{read['color']}_" + "-".join(str(counts[s]) for s in _SPLITS),
        image_shape=(patch, patch, 3 if in_color else 1),
        class_names=names,
        licence="; ".join(f"{name}: {PICTURES[name][3]}" for name in names)
        + " (as shipped by scikit-image and scikit-learn)",
        description="Patches of photographs; the class is the photograph.",
        sizes={split: count * len(names) for split, count in counts.items()},
        generate=lambda split: _generate(split, names, patch, in_color, counts[split]),
        roles={split: (split,) for split in _SPLITS},
    )


def parts(height: int, width: int, patch: int) -> dict[str, tuple[slice, slice]]:
    """The (rows, columns) of a picture that each split draws from; no two share a pixel.

    Raises:
        UserError: a part is smaller than a patch.
    """
    left = round(TRAIN_WIDTH * width)
    upper = max(round(height / 3), patch)
    result = {
        "train": (slice(0, height), slice(0, left)),
        "validation": (slice(0, upper), slice(left + GAP, width)),
        "test": (slice(upper + GAP, height), slice(left + GAP, width)),
    }
    for rows, columns in result.values():
        if min(rows.stop - rows.start, columns.stop - columns.start) < patch:
            raise errors.UserError(
                f"a picture of {width} x {height} px is too small for patches of {patch} px; "
                "lower data.options.patch_size"
            )
    return result


def standardise(patches: np.ndarray) -> np.ndarray:
    """uint8[N, H, W, C] -> uint8[N, H, W, C], each channel of each patch as the module says."""
    values = patches.astype(np.float32)
    mean = values.mean(axis=(1, 2), keepdims=True)
    deviation = values.std(axis=(1, 2), keepdims=True)
    scaled = (values - mean) * (DEVIATION / np.maximum(deviation, 1e-3)) + MEAN
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def positions(part: np.ndarray, patch: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """int64[count, 2]: upper left corners (row, column) of random patches that are not flat.

    Args:
        part: uint8[H, W, C].
        patch: side of a patch, px.
        count: how many to draw, with replacement.
        rng: where the randomness comes from.
    """
    grey = part.astype(np.float64).mean(axis=-1)
    mean = _box_mean(grey, patch)
    variance = _box_mean(grey**2, patch) - mean**2
    choices = np.flatnonzero(variance >= FLAT**2)
    if not len(choices):
        choices = np.arange(variance.size)
    drawn = choices[(rng.random(count) * len(choices)).astype(np.int64)]
    return np.stack(np.divmod(drawn, variance.shape[1]), axis=1)


def _box_mean(values: np.ndarray, side: int) -> np.ndarray:
    """Mean over every side x side window of f64[H, W], by differences of running sums."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    low, high = total[:-side], total[side:]
    return (high[:, side:] - high[:, :-side] - low[:, side:] + low[:, :-side]) / side**2


def _generate(
    split: str, names: tuple[str, ...], patch: int, in_color: bool, count: int
) -> Iterator[Example]:
    for label, name in enumerate(names):
        picture = read_picture(name, in_color)
        rows, columns = parts(picture.shape[0], picture.shape[1], patch)[split]
        part = picture[rows, columns]
        # the picture's place in the whole table, so that a class draws alike in grey and colour
        rng = np.random.default_rng([0xF0705, list(PICTURES).index(name), _SPLITS.index(split)])
        corners = positions(part, patch, count, rng)
        patches = np.stack([part[r : r + patch, c : c + patch] for r, c in corners])
        for image in standardise(patches):
            yield encode_png(image), label


def read_picture(name: str, in_color: bool) -> np.ndarray:
    """uint8[H, W, C] of a picture in `PICTURES`, C = 3 in colour, else 1.

    Raises:
        UserError: its package, or the file in it, is not there.
    """
    package, file, _, _ = PICTURES[name]
    spec = importlib.util.find_spec(_MODULES[package])
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise errors.UserError(
            f"data set 'photos' needs {file} of {package}, which is not installed here; "
            f"run: pip install --upgrade {package}"
        )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB" if in_color else "L"))
    return pixels if in_color else pixels[..., None]

"""What a bundled data set is: names, classes and a generator of examples for each stored split.

A bundle is plain data and knows nothing of TFDS; `storage.py` writes it as a TFDS data set.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from inception_jax import errors

# One example: the encoded image (PNG, or the file as its package ships it) and its label.
Example = tuple[bytes, int]


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A data set that prepares itself.

    Attributes:
        name: as in `config.data.name`; letters, digits and underscores.
        version: of the recipe below; changes when what is written changes.
        variant: names every option that changes what is written; part of the folder's name.
        image_shape: (height, width, channels) of every image.
        class_names: one per class id.
        licence: of the images, with the credit it asks for.
        description: one sentence.
        sizes: examples in each stored split.
        generate: examples of a stored split, in the order in which they are stored.
        roles: "train", "test" and, where there is one, "validation" -> the stored splits it is
            made of.
    """

    name: str
    version: str
    variant: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    licence: str
    description: str
    sizes: Mapping[str, int]
    generate: Callable[[str], Iterator[Example]]
    roles: Mapping[str, tuple[str, ...]]


def read_options(
    name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of data set `name`, checked against their defaults' names and types.

    Raises:
        UsageError: an option that does not exist (names the nearest), or one of another type.
    """
    result = dict(defaults)
    for key, value in given.items():
        if key not in defaults:
            raise errors.unknown(f"option of data set {name!r}", key, defaults)
        wanted = type(defaults[key])
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise errors.UsageError(
                f"data.options.{key} of {name!r} expects {wanted.__name__}, got {value!r}"
            )
        result[key] = value
    return result


def check_choice(name: str, option: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raises UsageError unless `value` is one of `choices`."""
    if value not in choices:
        listed = ", ".join(str(choice) for choice in choices)
        raise errors.UsageError(
            f"data.options.{option} of {name!r} is {value!r}; it can be one of: {listed}"
        )


def check_range(name: str, option: str, value: float, low: float, high: float) -> None:
    """Raises UserError unless low <= value <= high."""
    if not low <= value <= high:
        raise errors.UserError(
            f"data.options.{option} of {name!r} must be between {low:g} and {high:g}, got {value!r}"
        )


def encode_png(image: np.ndarray) -> bytes:
    """The uint8[H, W] or uint8[H, W, C] image as PNG; not compressed, to prepare twice as fast."""
    buffer = io.BytesIO()
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    Image.fromarray(plain).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()

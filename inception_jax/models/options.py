"""What can be chosen about a network, apart from its table: the `model` group of a config."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from inception_jax import errors

SITES = ("stem", "grid35", "grid17", "grid8", "reduction")


@dataclasses.dataclass(frozen=True)
class Factorize:
    """How the n x n convolutions of one site are factorized (section 3 of the paper).

    Activation and filters between the factors also hold for a factorization of the network's own.
    """

    strategy: str = ""  # a name of `models.strategies()`; "" is the network's own
    activation: str = "relu"  # between the factors: "relu" | "linear" (Fig. 2)
    min_kernel: int = 2  # smaller kernels of the site stay as they are
    kernel: int = 0  # n that takes the place of the others' first; 0 is their own
    mid_filters: str = (
        "table"  # between the factors: "table" | "out" | "geometric" (sqrt(in x out))
    )


@dataclasses.dataclass(frozen=True)
class Aux:
    """Auxiliary heads (section 4 and Fig. 8)."""

    sites: tuple[str, ...] = ()  # blocks that carry a head, e.g. ("Mixed_6e",)
    batch_norm: bool = True  # of the head's layers
    dense_batch_norm: bool = True  # of the layer over the whole grid ("BN-auxiliary" of Table 3)
    dropout: float = 0.0  # rate before the head's classifier
    # Truncated normal of the layer over the whole grid and of the classifier; 0 is as `init`
    conv_sd: float = 0.01
    classifier_sd: float = 0.001
    pool: str = "5x5"  # "5x5" (stride 3) | "adaptive" (to 4 x 4: torchvision's GoogLeNet)


@dataclasses.dataclass(frozen=True)
class Factorization:
    """One choice a site; the sites are named after the grids of Table 1."""

    stem: Factorize = Factorize()
    grid35: Factorize = Factorize()
    grid17: Factorize = Factorize()
    grid8: Factorize = Factorize()
    reduction: Factorize = Factorize()


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything that `models.create` can override, with its default."""

    width: float = 1.0  # multiplies every filter count, rounded to at least 1
    stem: str = ""  # a stem of the network's table; "" is the network's own
    body: str = ""  # a body of the network's table; "" is the network's own
    stem_stride: int = 0  # stride of the first convolution; 0 is the stem's own
    stem_pool: bool = True  # the first max pooling (Table 2's 79 px network has none)
    grid17_kernel: int = 0  # n of the n x n convolutions at the 17 grid; 0 is the table's
    grid_reduction: str = "parallel"  # "parallel" (Fig. 10) | "pool_conv" | "conv_pool" (Fig. 9)
    expanded: bool = True  # the expanded 8x8 filter banks of Fig. 7
    dropout: float = 0.2  # rate before the classifier
    init: str = "he"  # of kernels: "he" (TF-slim's) | "normal" (truncated, the 2016 trainer's)
    init_sd: float = 0.1  # of "normal", before it is truncated at two of them
    head_sd: float = 0.0  # of the classifier's kernel (0.01 in the 2016 trainer); 0 is as `init`
    bn_scale: bool = True  # batch norm's gamma (TF-slim and Keras have none)
    bn_epsilon: float = 1e-3
    bn_decay: float = 0.9  # of the running statistics; 0.9997 in the paper's code
    bn_group: int = 0  # examples that share training statistics; 0 is the whole batch
    count_include_pad: bool = False  # average pooling counts its padding (torchvision, timm)
    strided_padding: str = (
        "tensorflow"  # of "SAME" at stride 2: the odd pixel after the image | "torch": both sides
    )
    dtype: str = "float32"  # of activations; parameters and statistics stay float32
    remat: bool = False  # recompute each block's activations in the backward pass
    ops: str = "auto"  # lowering: "auto" picks by platform and shape, "xla" never does
    aux: Aux = Aux()
    factorization: Factorization = Factorization()


CHOICES: dict[str, tuple[str, ...]] = {
    "grid_reduction": ("parallel", "pool_conv", "conv_pool"),
    "init": ("he", "normal"),
    "pool": ("5x5", "adaptive"),
    "strided_padding": ("tensorflow", "torch"),
    "dtype": ("float32", "bfloat16", "float64"),
    "ops": ("auto", "xla"),
    "activation": ("relu", "linear"),
    "mid_filters": ("table", "out", "geometric"),
}


# name -> (lowest, highest) value that makes sense; an open end is infinity
RANGES: dict[str, tuple[float, float]] = {
    "width": (1e-3, 100),
    "stem_stride": (0, 4),
    "grid17_kernel": (0, 99),
    "min_kernel": (2, 99),
    "kernel": (0, 99),
    "dropout": (0, 0.999),
    "init_sd": (0, math.inf),
    "head_sd": (0, math.inf),
    "conv_sd": (0, math.inf),
    "classifier_sd": (0, math.inf),
    "bn_group": (0, math.inf),
    "bn_decay": (0, 1),
    "bn_epsilon": (0, math.inf),
}


def read(overrides: Mapping[str, Any]) -> Options:
    """Options from keyword overrides; a site's value may be just a strategy's name.

    Raises:
        UsageError: an option or a choice that does not exist (names the nearest), or a value of
            the wrong type or out of its range.
    """
    return _fill(Options(), overrides)


def _fill(default: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    known = {field.name for field in dataclasses.fields(default)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise errors.unknown("model option", prefix + name, {prefix + key for key in known})
        current = getattr(default, name)
        if dataclasses.is_dataclass(current):
            changed[name] = _fill(current, _as_mapping(prefix + name, value, current), name + ".")
        else:
            changed[name] = _checked(prefix, name, value, current)
    return dataclasses.replace(default, **changed)


def _as_mapping(name: str, value: Any, current: Any) -> Mapping[str, Any]:
    """A group's choices; a site's strategy and the blocks with heads may stand for themselves."""
    if isinstance(value, Mapping):
        return value
    if isinstance(current, Factorize) and isinstance(value, str):
        return {"strategy": value}
    if isinstance(current, Aux) and isinstance(value, str | list | tuple):
        return {"sites": value}
    fields = ", ".join(field.name for field in dataclasses.fields(current))
    raise errors.UsageError(f"model option {name!r} is a group of {fields}; got {value!r}")


def _checked(prefix: str, name: str, value: Any, current: Any) -> Any:
    if isinstance(current, tuple):
        items = (value,) if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif isinstance(current, float):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _in_range(prefix, name, float(value))
    elif isinstance(current, str):
        if name in CHOICES and value not in CHOICES[name]:
            raise errors.unknown(prefix + name, str(value), CHOICES[name])
        if isinstance(value, str):
            return value
    elif type(value) is type(current):  # an int is no bool, nor the other way round
        return value if isinstance(value, bool) else _in_range(prefix, name, value)
    kind = type(current).__name__
    raise errors.UsageError(f"model option {prefix + name!r} expects {kind}, got {value!r}")


def _in_range(prefix: str, name: str, value: float) -> float:
    low, high = RANGES[name]
    if not low <= value <= high:
        raise errors.UsageError(
            f"model option {prefix + name!r} must be between {low:g} and {high:g}, got {value!r}"
        )
    return value

"""What a training run is: every key with its default, overrides by dotted key, derived values.

Data flows one way: a file in `configs/` starts from `default()`, a command line or a study's arm
applies overrides, `resolve` computes what follows from them, and nothing changes after that.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inception_jax import errors
from inception_jax.models.options import Options


def default() -> ConfigDict:
    """Every key that exists, with the default that a small study uses."""
    config = ConfigDict()
    config.seed = 0  # initial values, data order, augmentation and dropout all follow from it

    # The network: "name" is one of `models.names()`, the rest is documented in models/options.py.
    config.model = ConfigDict({"name": "inception_small", **dataclasses.asdict(Options())})

    config.data = ConfigDict()
    config.data.name = "mnist5k"  # a name of `inception-jax data list`, or of TFDS
    config.data.dir = ""  # where prepared data lives; "" is the user's cache folder
    config.data.image_size = 28  # side of the square the network sees, px
    config.data.batch_size = 64  # examples a step, over all devices and hosts
    config.data.eval_batch_size = 250  # filled up to a multiple of the devices
    config.data.augment = "none"  # "none" | "flip" | "shift_flip" | "inception"
    # Of "inception": share of the image and width / height of the box, the least that it covers,
    config.data.box_area = (0.05, 1.0)  # (0.08, 1.0) in GoogLeNet's paper; (1.0, 1.0) is no crop
    config.data.box_aspect = (0.75, 1.33)
    config.data.box_covered = 0.1
    config.data.mirror = True  # left and right swapped in every second image
    config.data.interpolation = "four"  # filters in turn: "four" | "bilinear" (slim's fast mode)
    config.data.colour = "slim"  # "none" | "fast" | "trainer" | "slim": orders in data/colour.py
    config.data.decoder = "pil"  # of "inception" | "opencv": twice as fast, not antialiased
    config.data.max_corrupt = 10  # training images that a host may replace, as it cannot read them
    config.data.blacklist = ""  # file of test images that a second score leaves out (ImageNet)
    config.data.eval_crop = 1.0  # side of the central crop; 0.875 in the paper's code
    config.data.eval_resize = "crop"  # that share of both sides | "short_side" (data/views.py)
    config.data.eval_interpolation = "bilinear"  # | "bicubic"
    config.data.validation_fraction = 0.0  # cut from the training split where there is none
    config.data.threads = 2  # readers
    config.data.options = ConfigDict()  # what only this data set has; see `data.names()`

    config.optim = ConfigDict()
    config.optim.name = "adamw"  # "rmsprop" | "sgd" | "adamw" | "lamb"
    config.optim.learning_rate = 3e-3  # peak, at the batch size above
    config.optim.schedule = "cosine"  # "constant" | "cosine" | "exponential"
    config.optim.warmup_epochs = 0.25
    config.optim.decay_rate = 0.94  # of "exponential", every decay_epochs
    config.optim.decay_epochs = 2.0
    config.optim.staircase = True  # at once at their end; False: a little every step
    config.optim.momentum = 0.9  # rmsprop and sgd
    config.optim.rms_decay = 0.9
    config.optim.rms_initial = 1.0  # of rmsprop's mean squares: TensorFlow's; PyTorch's is 0
    config.optim.epsilon = 1e-8  # 1.0 in the paper
    config.optim.epsilon_in_root = True  # of rmsprop: TensorFlow's; adamw and lamb: outside
    config.optim.weight_decay = 1e-4  # kernels only; adamw and lamb: decoupled, else L2
    config.optim.clip_norm = 0.0  # global norm of the gradient; 0 is off, 2.0 in the paper
    config.optim.ema_decay = 0.0  # of the averaged parameters; 0 is off, 0.9999 in the paper's code
    config.optim.ema_warmup = True  # at most (1 + t) / (10 + t) after t steps, TensorFlow's
    config.optim.ema_batch_stats = True  # averages batch norm's statistics, too; else the last

    config.loss = ConfigDict()
    config.loss.label_smoothing = 0.0  # 0.1 in the paper
    config.loss.aux_weight = 0.4  # of each auxiliary head

    config.train = ConfigDict()
    config.train.epochs = 3.0
    config.train.max_steps = 0  # stops earlier where it is smaller; 0 is off
    config.train.eval_every_epochs = 1.0  # on test and validation; the last step always counts
    config.train.log_every_steps = 20
    config.train.checkpoint_every_steps = 0  # 0 is off
    config.train.checkpoint_every_seconds = 60.0  # besides; 0 is off. Shorter runs write none
    config.train.keep_checkpoints = 2
    config.train.keep_best = ""  # besides, the best on validation: "top1" | "top5" | "loss"
    config.train.tensorboard = False  # events in the workdir (extra `tensorboard`)
    config.train.measure_peak = False  # log the speed as a share of matrix products', too
    # Metric "diverged" in result.json; a loss that is not finite ends in a result, not an error.
    config.train.record_divergence = False
    config.train.accumulate = 1  # gradient accumulation: micro-batches a step

    # Of a study's arm that trains nothing and evaluates others (study/definition.py, Arm.members).
    config.eval = ConfigDict()
    config.eval.members = ()  # arms whose trials of the same seed are evaluated together
    config.eval.crops = 1  # 1 | 12 | 144: docs/evaluation.md
    config.eval.weights = "raw"  # | "ema"

    config.parallel = ConfigDict()
    config.parallel.devices = 0  # 0 is all of them
    # Several processes: HOST:PORT of the first and the two numbers; "auto" asks JAX (SLURM, Open
    # MPI, TPU pods), "none" is one process, "" is "auto" where the environment tells of several.
    config.parallel.coordinator = ""
    config.parallel.num_processes = 0
    config.parallel.process_id = -1
    config.lock()
    config.data.options.unlock()
    return config


def keys(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Every leaf of a config as dotted key -> value."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        flat.update(keys(value, key + ".") if isinstance(value, ConfigDict) else {key: value})
    return flat


def apply(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A copy of `config` with dotted keys set; text is read as the type of the key's default.

    Raises:
        UsageError: a key that does not exist (names the nearest) or a value of the wrong type.
    """
    result = config.copy_and_resolve_references()
    for key, value in overrides.items():
        if key.startswith("data.options."):
            result.data.options[key.removeprefix("data.options.")] = _read(value)
            continue
        known = keys(result)
        if key not in known:
            raise errors.unknown("config key", key, known, "inception_jax/config.py")
        group, _, leaf = key.rpartition(".")
        owner: ConfigDict = result
        for part in filter(None, group.split(".")):
            owner = owner[part]
        owner[leaf] = _convert(key, value, known[key])
    return result


def _read(value: Any) -> Any:
    """A value given as text, as JSON where it is JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        return value


def _convert(key: str, value: Any, current: Any) -> Any:
    wanted = type(current)
    if wanted is str:
        return str(value)
    if wanted is tuple:
        read = _read(value)
        items = [read] if isinstance(read, str) and read else read
        if isinstance(items, list | tuple | str):
            return _items(key, list(items), current)
        raise errors.UsageError(f"config key {key!r} expects a list, got {value!r}")
    read = _read(value.lower() if isinstance(value, str) else value)
    if wanted is bool and isinstance(read, bool):
        return read
    is_number = isinstance(read, int | float) and not isinstance(read, bool)
    if wanted is float and is_number and math.isfinite(read):
        return float(read)
    if wanted is int and is_number and float(read).is_integer():
        return int(read)
    raise errors.UsageError(f"config key {key!r} expects {wanted.__name__}, got {value!r}")


def _items(key: str, items: list[Any], current: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list of numbers as long as the default's, or a list of words."""
    if current and isinstance(current[0], float):
        numbers = all(isinstance(i, int | float) and not isinstance(i, bool) for i in items)
        if not numbers or len(items) != len(current):
            raise errors.UsageError(f"config key {key!r} expects {len(current)} numbers: {items!r}")
        return tuple(map(float, items))
    return tuple(map(str, items))


def resolve(config: ConfigDict, train_examples: int) -> ConfigDict:
    """The config with the values that follow from it, under `derived`.

    Args:
        config: after all overrides.
        train_examples: size of the training split.

    Returns:
        A locked copy with `derived.steps_per_epoch`, `derived.steps`, `derived.warmup_steps` and
        `derived.eval_every`, all in optimizer steps.

    Raises:
        UserError: a value out of its range, or fewer examples than a batch.
    """
    _check(config, train_examples)
    result = config.copy_and_resolve_references()
    per_epoch = train_examples // config.data.batch_size
    steps = max(1, round(config.train.epochs * per_epoch))
    if config.train.max_steps:
        steps = min(steps, config.train.max_steps)
    with result.unlocked():
        result.derived = ConfigDict()
        result.derived.steps_per_epoch = per_epoch
        result.derived.steps = steps
        result.derived.warmup_steps = min(
            round(config.optim.warmup_epochs * per_epoch), max(steps - 1, 0)
        )
        result.derived.eval_every = max(1, round(config.train.eval_every_epochs * per_epoch))
    return result


# key -> (lowest, highest) value that makes sense; an open end is infinity
# Where data lies and how a machine is used: a run may go on, and a study be shared, with others.
PLACE_KEYS = ("data.dir", "data.threads")

_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "data.image_size": (1, 10_000),
    "data.batch_size": (1, math.inf),
    "data.eval_batch_size": (1, math.inf),
    "data.eval_crop": (0.01, 1),
    "data.validation_fraction": (0, 0.9),
    "data.threads": (0, 1024),
    "data.box_covered": (0, 1),
    "data.box_area": (1e-6, 1),
    "data.box_aspect": (1e-3, 1e3),
    "data.max_corrupt": (0, math.inf),
    "optim.learning_rate": (0, math.inf),
    "optim.warmup_epochs": (0, math.inf),
    "optim.decay_epochs": (1e-6, math.inf),
    "optim.decay_rate": (0, 1),
    "optim.momentum": (0, 1),
    "optim.rms_decay": (0, 1),
    "optim.rms_initial": (0, math.inf),
    "optim.epsilon": (0, math.inf),
    "optim.weight_decay": (0, math.inf),
    "optim.clip_norm": (0, math.inf),
    "optim.ema_decay": (0, 1),
    "loss.label_smoothing": (0, 0.999),
    "loss.aux_weight": (0, math.inf),
    "train.epochs": (1e-9, math.inf),
    "train.max_steps": (0, math.inf),
    "train.eval_every_epochs": (1e-9, math.inf),
    "train.log_every_steps": (1, math.inf),
    "train.checkpoint_every_steps": (0, math.inf),
    "train.checkpoint_every_seconds": (0, math.inf),
    "train.keep_checkpoints": (1, math.inf),
    "train.accumulate": (1, math.inf),
    "parallel.devices": (0, math.inf),
    "parallel.num_processes": (0, math.inf),
    "parallel.process_id": (-1, math.inf),
}


def _check(config: ConfigDict, train_examples: int) -> None:
    values = keys(config)
    if any(values[key] != value for key, value in keys(default().eval, "eval.").items()):
        raise errors.UserError(
            "eval.* is for an arm of a study that evaluates others, not for training; to score a "
            "run with crops: inception-jax evaluate --crops 12"
        )
    for key, (low, high) in _RANGES.items():
        held = values[key]
        if not all(low <= value <= high for value in (held if isinstance(held, tuple) else [held])):
            raise errors.UsageError(
                f"config key {key!r} must be between {low:g} and {high:g}, got {held!r}"
            )
    for key in ("data.box_area", "data.box_aspect"):
        if values[key][0] > values[key][1]:
            raise errors.UsageError(f"config key {key!r} is (lowest, highest), got {values[key]!r}")
    batch = config.data.batch_size
    if train_examples < batch:
        raise errors.UserError(
            f"data.batch_size is {batch}, but the training split has {train_examples} examples; "
            "lower data.batch_size"
        )
    group = config.model.bn_group
    if group and batch % (group * config.train.accumulate):
        raise errors.UserError(
            f"data.batch_size {batch} does not divide into whole groups of model.bn_group {group} "
            f"in each of train.accumulate {config.train.accumulate} parts; change one of them"
        )
    if batch % config.train.accumulate:
        raise errors.UserError(
            f"data.batch_size {batch} is not divisible by train.accumulate "
            f"{config.train.accumulate}; change one of them"
        )


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, keys in their written order."""
    return json.dumps(config.to_dict(), indent=2)


def from_json(text: str) -> ConfigDict:
    """The config that `to_json` wrote; keys unknown to this version are an error.

    Raises:
        UsageError: as `apply`.
    """
    plain = json.loads(text)
    plain.pop("derived", None)
    options = plain.get("data", {}).pop("options", {})
    flat = keys(ConfigDict(plain))
    return apply(default(), {**flat, **{f"data.options.{k}": v for k, v in options.items()}})


def folder(kind: str) -> Path:
    """Where `configs` or `experiments` are: beside the package in a checkout, inside a wheel."""
    package = Path(__file__).resolve().parent
    beside = package.parent / kind
    return beside if beside.is_dir() else package / "_bundled" / kind


def load_file(path: str) -> ConfigDict:
    """The config of `path[:argument]`: the file's `get_config(argument)`.

    A path that is not there is looked up among the configs that come with the package.

    Raises:
        UsageError: no such file, or no `get_config` in it.
    """
    name, _, argument = path.partition(":")
    file = Path(name)
    if not file.is_file():
        file = folder("configs") / Path(name).with_suffix(".py").name
    if not file.is_file():
        known = ", ".join(sorted(f"configs/{p.name}" for p in folder("configs").glob("*.py")))
        raise errors.UsageError(f"no config file {name!r}; known: {known}")
    module = load_module(file)
    if not hasattr(module, "get_config"):
        raise errors.UsageError(f"{file} has no get_config(); see configs/mnist5k.py")
    if not argument:
        return module.get_config()
    if not inspect.signature(module.get_config).parameters:
        raise errors.UsageError(f"{file} takes no argument, got {argument!r}; leave it out")
    return module.get_config(argument)


def load_module(file: Path) -> Any:
    """The Python file as a module, without making its folder importable.

    Raises:
        UsageError: it is no Python file, or fails when it is read.
    """
    spec = importlib.util.spec_from_file_location(f"_inception_jax_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise errors.UsageError(f"{file} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except errors.UserError:
        raise
    except Exception as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise errors.UsageError(f"cannot read {file}{where}: {error}") from error
    return module

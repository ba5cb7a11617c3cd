"""How fast images are decoded, cropped and batched, beside the speed of training.

The images are real photographs (scikit-learn's two) as JPEGs of 500 x 375 px and quality 90, the
middle of ImageNet's sizes; what is measured is the training pipeline itself, from encoded bytes to
uint8 batches of 299 px, with each of the decoders (`data.decoder`):

  inception-jax bench data
  inception-jax bench data --against torchvision --no-training

The same work in torchvision's usual form needs torch and torchvision: INCEPTION_JAX_BENCH_TORCH
names the interpreter that has them, where it is not this one.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from inception_jax import config as configs
from inception_jax import data, startup
from inception_jax.bench import arguments, photographs, torchvision_data
from inception_jax.data import region
from inception_jax.data.dataset import Dataset
from inception_jax.data.sources import Item

PYTHON = "INCEPTION_JAX_BENCH_TORCH"  # interpreter that has torch, where it is not this one
_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class Photographs:
    """A source of JPEGs in memory, a few over and over."""

    jpegs: tuple[bytes, ...]

    def __len__(self) -> int:
        return _EXAMPLES

    def item(self, index: int) -> Item:
        """The encoded image; its label is its number."""
        return Item(self.jpegs[index % len(self.jpegs)], index % len(self.jpegs), f"[{index}]")

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.item(index).decoded(3)

    def labels(self) -> np.ndarray:
        """int32[N]."""
        return np.arange(_EXAMPLES, dtype=np.int32) % len(self.jpegs)


def measure(
    *,
    seconds: float = 6.0,
    threads: int = 0,
    decoder: str = "pil",
    interpolation: str = "bilinear",
    image_size: int = 299,
    batch_size: int = 32,
) -> float:
    """Images a second of decode, distorted crop, mirror and batching; the best of three runs.

    Args:
        seconds: of all three runs together.
        threads: readers; 0 is one a core.
        decoder: "pil" or "opencv".
        interpolation: as `data.interpolation`; torchvision's is "bilinear", that of the paper's
            config "four".
        image_size: side of the result, px.
        batch_size: images a batch.

    Raises:
        UserError: OpenCV is asked for and not installed.
    """
    source = Photographs(photographs.jpegs())
    dataset = Dataset(
        name="bench",
        num_classes=len(source.jpegs),
        class_names=tuple(str(i) for i in range(len(source.jpegs))),
        image_shape=None,
        channels=3,
        licence=None,
        sizes={"train": len(source)},
        sources={"train": source},
    )
    overrides = {
        "data.augment": "inception",
        "data.decoder": decoder,
        "data.interpolation": interpolation,
        "data.image_size": image_size,
        "data.batch_size": batch_size,
        "data.threads": threads or startup.cores(),
    }
    config = configs.apply(configs.default(), overrides)
    return max(_run(dataset, config, seconds / 3) for _ in range(3))


def _run(dataset: Dataset, config: Any, seconds: float) -> float:
    batches = data.train_iterator(dataset, config)
    for _ in range(6):  # what was read ahead while nobody waited
        next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(batches)["label"])
    return count / (time.perf_counter() - start)


def measure_training(
    image_size: int = 299,
    *,
    batch_size: int = 0,
    steps: int = 3,
    overrides: Mapping[str, Any] | None = None,
) -> float:
    """Images a second of Inception-v3's training step with the paper's recipe, on all devices.

    Args:
        image_size: side of the input, px.
        batch_size: images a step and device; 0 is 8 on a CPU and 64 elsewhere.
        steps: that are timed, after one that compiles.
        overrides: keys of `configs/imagenet.py` that differ.
    """
    import jax

    from inception_jax import models
    from inception_jax.train import mesh as meshes
    from inception_jax.train import state, step

    count = jax.device_count()
    batch_size = count * (batch_size or (8 if jax.default_backend() == "cpu" else 64))
    changed = {"data.batch_size": batch_size, "data.eval_batch_size": count, "model.bn_group": 0}
    changed |= overrides or {}
    config = configs.apply(configs.load_file("configs/imagenet.py"), changed)
    mesh = meshes.create(config)
    model = models.from_config(config.model, 1000)
    shape = image_size, image_size, 3
    current = state.create(model, config, shape, sharding=meshes.replicated(mesh))
    function = step.train_step(model, config, mesh)
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *shape), np.uint8)
    batch = meshes.put({"image": images, "label": np.arange(batch_size, dtype=np.int32)}, mesh)
    start = 0.0
    for index in range(steps + 1):
        current, _ = function(current, batch, np.float32(0.045))
        if not index:
            jax.block_until_ready(current)
            start = time.perf_counter()
    jax.block_until_ready(current)
    return steps * batch_size / (time.perf_counter() - start)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--against", choices=("torchvision",), help="also measure torchvision's")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--seconds", type=arguments.seconds, default=6.0, help="of each pipeline (default 6)"
    )
    parser.add_argument("--threads", type=int, default=0, help="readers (default: one a core)")
    parser.add_argument(
        "--image-size", type=arguments.count, default=299, metavar="PX", help="default 299"
    )
    parser.add_argument("--no-training", action="store_true", help="leave out the training speed")


def run(args: argparse.Namespace) -> None:
    """Measures one pipeline after the other and prints a line for each."""
    readers = args.threads or startup.cores()
    speeds: dict[str, float] = {}
    if args.format == "text":
        size = f"{photographs.WIDTH} x {photographs.HEIGHT} px"
        machine = f"{startup.cores()} cores, {readers} readers"
        print(f"from JPEGs of {size} to batches of {args.image_size} px; {machine}")
    for name, measured in _pipelines(args):
        speeds[name] = measured()
        if args.format == "text":
            print(f"{name:24} {speeds[name]:9,.1f} images/s", flush=True)
    if args.format == "json":
        about = {"cores": startup.cores(), "readers": readers, "image_size": args.image_size}
        print(json.dumps(about | {"images_per_second": speeds}, indent=2))


def _pipelines(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], float]]]:
    """What is measured, in turn: its name, and what measures it."""
    given = {"seconds": args.seconds, "image_size": args.image_size}
    for name, decoder, interpolation in (
        ("opencv", "opencv", "bilinear"),
        ("opencv, four filters", "opencv", "four"),
        ("pil", "pil", "bilinear"),
    ):
        if decoder == "pil" or region.has_opencv():
            ways = {"decoder": decoder, "interpolation": interpolation, "threads": args.threads}
            yield name, functools.partial(measure, **ways, **given)
    if args.against:
        python = os.environ.get(PYTHON, sys.executable)
        for name, normalise in (("torchvision uint8", False), ("torchvision float32", True)):
            shared = given | {"workers": args.threads, "normalise": normalise}
            yield name, functools.partial(torchvision_data.measure, python, **shared)
    if not args.no_training:
        yield "training Inception-v3", functools.partial(measure_training, args.image_size)

"""How fast images are read, decoded, cropped and batched: `inception-jax bench data`.

The images are real photographs (scikit-learn's two) as JPEGs of 500 x 375 px and quality 90, the
middle of ImageNet's sizes; what is measured is the training pipeline itself, from encoded bytes to
uint8 batches of 299 px. The torch side is the same work in torchvision's usual form.
"""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inception_jax import config as configs
from inception_jax import data, errors
from inception_jax.data.dataset import Dataset
from inception_jax.data.sources import Item

WIDTH, HEIGHT, QUALITY = 500, 375, 90
_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        images_per_second: of all threads together.
        batch_size: images a batch.
        threads: that read.
        decoder: of `data.decoder`.
        image_size: side of the result, px.
        cores: that this process may use.
    """

    images_per_second: float
    batch_size: int
    threads: int
    decoder: str
    image_size: int
    cores: int


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


def photographs() -> tuple[bytes, ...]:
    """JPEGs of 500 x 375 px."""
    from sklearn.datasets import load_sample_images

    found = []
    for pixels in load_sample_images().images:
        image = Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        found.append(buffer.getvalue())
    return tuple(found)


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure(
    *,
    seconds: float = 5.0,
    threads: int = 0,
    decoder: str = "pil",
    image_size: int = 299,
    batch_size: int = 32,
) -> Speed:
    """The speed of decode, distorted crop and batching; the best of three runs.

    Args:
        seconds: of all three runs together.
        threads: readers; 0 is one a core.
        decoder: "pil" or "opencv".
        image_size: side of the result, px.
        batch_size: images a batch.

    Raises:
        UserError: OpenCV is asked for and not installed.
    """
    threads = threads or cores()
    source = Photographs(photographs())
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
        "data.interpolation": "bilinear",
        "data.image_size": image_size,
        "data.batch_size": batch_size,
        "data.threads": threads,
    }
    config = configs.apply(configs.default(), overrides)
    best = max(_run(dataset, config, seconds / 3) for _ in range(3))
    return Speed(best, batch_size, threads, decoder, image_size, cores())


def _run(dataset: Dataset, config: Any, seconds: float) -> float:
    batches = data.train_iterator(dataset, config)
    for _ in range(6):  # what was read ahead while nobody waited
        next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(batches)["label"])
    return count / (time.perf_counter() - start)


# The same work in torchvision's usual form, printing images a second.
_TORCH = """
import io, sys, time
import torch
from PIL import Image
from torchvision import transforms
jpegs = [open(name, "rb").read() for name in sys.argv[4:]]
size, workers, batch = map(int, sys.argv[1:4])
class Data(torch.utils.data.Dataset):
    change = transforms.Compose([
        transforms.RandomResizedCrop(size, scale=(0.05, 1.0), ratio=(0.75, 1.33)),
        transforms.RandomHorizontalFlip(), transforms.PILToTensor()])
    def __len__(self): return 10**9
    def __getitem__(self, i):
        return self.change(Image.open(io.BytesIO(jpegs[i % len(jpegs)])).convert("RGB")), i % 2
def measure(seconds):
    batches = iter(torch.utils.data.DataLoader(Data(), batch_size=batch, num_workers=workers))
    for _ in range(6): next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(batches)[1])
    return count / (time.perf_counter() - start)
print(max(measure(SECONDS) for _ in range(3)))
"""


def measure_torchvision(
    python: str | Path,
    *,
    seconds: float = 5.0,
    workers: int = 0,
    image_size: int = 299,
    batch_size: int = 32,
) -> float:
    """Images a second of torchvision's transforms in a DataLoader, on the same JPEGs.

    The tensors stay uint8, as ours do; its normalisation on the CPU would cost it more.

    Args:
        python: an interpreter that has torch and torchvision.
        seconds: of all three runs together.
        workers: processes; 0 is one a core.
        image_size: side of the result, px.
        batch_size: images a batch.

    Raises:
        UserError: it has not, or they do not work there.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for index, content in enumerate(photographs()):
            path = Path(folder, f"{index}.jpg")
            path.write_bytes(content)
            names.append(str(path))
        numbers = [str(image_size), str(workers or cores()), str(batch_size)]
        code = _TORCH.replace("SECONDS", repr(seconds / 3))
        command = [str(python), "-c", code, *numbers, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.UserError(f"{python} cannot run torchvision's pipeline: {reason}")
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    for kind in ("pil", "opencv"):
        print(kind, round(measure(decoder=kind).images_per_second))
    if len(sys.argv) > 1:
        print("torchvision", round(measure_torchvision(sys.argv[1])))

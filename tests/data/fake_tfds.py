"""Data sets of TFDS with their real feature specs and made-up images, written to disk."""

from __future__ import annotations

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


def jpeg(index, mode="RGB"):
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 256, (rng.integers(20, 60), rng.integers(20, 60), 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG")
    buffer.seek(0)
    return buffer


def write(name, root, splits, extra=lambda split, index: {}):
    """Writes `splits` (name -> number of examples) as TFDS itself would, from its own features."""
    real = tfds.builder(name, data_dir=str(root))

    class Fake(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = real.version
        BUILDER_CONFIGS = [real.builder_config] if real.builder_config else []

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=real.info.features)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split, n) for split, n in splits.items()}

        def _generate_examples(self, split, count):
            modes = ("RGB", "L", "CMYK")
            for i in range(count):
                label = -1 if (name, split) == ("imagenet2012", "test") else i % 10
                image = jpeg(i, modes[i % 3])
                yield i, {"image": image, "label": label, **extra(split, i)}

    Fake.name = real.name
    Fake(data_dir=str(root), file_format="array_record").download_and_prepare()


def write_imagenet(root, train=40, validation=21):
    """imagenet2012 with files named as the real ones are."""
    names = {"train": "n01440764_{}.JPEG", "validation": "ILSVRC2012_val_{:08d}.JPEG"}
    write(
        "imagenet2012",
        root,
        {"train": train, "validation": validation, "test": 5},
        lambda split, i: {"file_name": names.get(split, "test_{}.JPEG").format(i + 1)},
    )

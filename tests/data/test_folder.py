from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inception_jax import data
from inception_jax.errors import UserError


def fill(folder, names, count, suffix=".png"):
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.full((10 + label, 12, 3), 10 * label + index, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}{suffix}")


@pytest.fixture
def open_folder(make_config, tmp_path):
    def open_it(**options):
        named = {f"data__options__{key}": value for key, value in options.items()}
        named = {"data__options__path": str(tmp_path)} | named
        config = make_config(data__name="folder", **named)
        return data.load(config.data), config

    return open_it


def test_classes_alone_are_split_by_class(tmp_path, open_folder):
    fill(tmp_path, ["dog", "ant", "cat"], 10)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    dataset, _ = open_folder()
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dict(dataset.sizes) == {"train": 24, "test": 6}
    np.testing.assert_array_equal(np.bincount(dataset.source("test").labels()), [2, 2, 2])
    assert dataset.image_shape is None
    assert dataset.source("train")[0]["image"].shape[2] == 3


def test_train_and_val_are_what_imagenette_has(tmp_path, open_folder):
    fill(tmp_path / "train", ["a", "b"], 4, ".JPEG")
    fill(tmp_path / "val", ["a", "b"], 3, ".JPEG")
    dataset, config = open_folder(color="grey")
    assert dict(dataset.sizes) == {"train": 8, "test": 6}
    batches = list(data.eval_batches(dataset, config, "test"))
    assert batches[0]["image"].shape == (250, 8, 8, 1)
    assert sum(int(b["mask"].sum()) for b in batches) == 6
    np.testing.assert_array_equal(batches[0]["label"][:6], [0, 0, 0, 1, 1, 1])


def test_three_splits(tmp_path, open_folder):
    for split, count in (("train", 4), ("validation", 3), ("test", 2)):
        fill(tmp_path / split, ["a", "b"], count)
    assert dict(open_folder()[0].sizes) == {"train": 8, "validation": 6, "test": 4}


def test_a_corrupt_file_is_named(tmp_path, open_folder):
    fill(tmp_path, ["a", "b"], 5)
    for file in tmp_path.rglob("*.png"):
        file.write_bytes(b"broken")
    dataset, config = open_folder()
    with pytest.raises(UserError, match=r"cannot read the image .*\.png"):
        list(data.eval_batches(dataset, config, "test"))


def test_bad_folders_are_one_clear_line(tmp_path, open_folder):
    with pytest.raises(UserError, match="0 class folders"):
        open_folder()
    with pytest.raises(UserError, match="is not a folder"):
        open_folder(path=str(tmp_path / "nowhere"))
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        (tmp_path / split / "b").mkdir()
    with pytest.raises(UserError, match="is empty"):
        open_folder()
    fill(tmp_path / "train", ["a", "b"], 2)
    fill(tmp_path / "test", ["c"], 2)
    with pytest.raises(UserError, match="class 'c', which the training folder does not have"):
        open_folder()

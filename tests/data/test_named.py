"""Data sets of TFDS by name, on fakes that are written to disk with the real feature spec."""

from __future__ import annotations

import re

import fake_tfds
import numpy as np
import pytest

from inception_jax import data
from inception_jax.errors import UsageError, UserError


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    fake_tfds.write_imagenet(root)
    return root


def imagenet_config(make_config, root, **overrides):
    return make_config(
        data__name="imagenet2012",
        data__dir=str(root),
        data__image_size=24,
        data__batch_size=8,
        data__eval_batch_size=8,
        **overrides,
    )


def test_imagenet_is_tested_on_its_labelled_validation_split(imagenet, make_config):
    dataset = data.load(imagenet_config(make_config, imagenet).data)
    assert dict(dataset.sizes) == {"train": 40, "test": 21}
    assert (dataset.num_classes, dataset.image_shape, dataset.channels) == (1000, None, 3)
    assert dataset.class_names[0] == "n01440764"


def test_imagenet_batches(imagenet, make_config):
    config = imagenet_config(
        make_config, imagenet, data__augment="inception", data__eval_crop=0.875
    )
    dataset = data.load(config.data)
    batch = next(data.train_iterator(dataset, config))
    assert batch["image"].shape == (8, 24, 24, 3)
    assert batch["label"].dtype == np.int32
    batches = list(data.eval_batches(dataset, config, "test"))
    assert [int(b["mask"].sum()) for b in batches] == [8, 8, 5]
    assert {b["image"].shape for b in batches} == {(8, 24, 24, 3)}
    labels = np.concatenate([b["label"][b["mask"]] for b in batches])
    np.testing.assert_array_equal(labels, dataset.source("test").labels())


def test_validation_is_cut_from_imagenets_training_split(imagenet, make_config):
    config = imagenet_config(make_config, imagenet, data__validation_fraction=0.25)
    assert dict(data.load(config.data).sizes) == {"train": 30, "validation": 10, "test": 21}


def test_splits_can_be_named(imagenet, make_config):
    config = imagenet_config(
        make_config, imagenet, data__options__train_split="train[:10]+validation[5:]"
    )
    assert data.load(config.data).sizes["train"] == 26
    config = imagenet_config(make_config, imagenet, data__options__test_split="nowhere")
    with pytest.raises(UserError, match="cannot be split"):
        data.load(config.data)


def test_a_corrupt_record_names_its_file(imagenet, make_config, monkeypatch):
    dataset = data.load(imagenet_config(make_config, imagenet).data)
    source = dataset.source("test")
    broken = [{"image": b"broken", "label": 0, "file_name": b"ILSVRC_1.JPEG"}]
    object.__setattr__(source, "records", broken)
    with pytest.raises(UserError, match=r"imagenet2012 validation\[0\] \(ILSVRC_1.JPEG\)"):
        source[0]


def test_a_config_of_a_data_set(tmp_path, make_config):
    fake_tfds.write("imagenette/160px-v2", tmp_path, {"train": 6, "validation": 4})
    config = make_config(data__name="imagenette/160px-v2", data__dir=str(tmp_path))
    dataset = data.load(config.data)
    assert dict(dataset.sizes) == {"train": 6, "test": 4}
    assert dataset.num_classes == 10


@pytest.mark.parametrize("name", ["imagenet2012", "imagenette/320px-v2", "cifar10"])
def test_not_prepared_says_how(tmp_path, make_config, name, capfd):
    with pytest.raises(UserError, match=re.escape(f"tfds.builder({name!r}, data_dir='DIR'")):
        data.load(make_config(data__name=name, data__dir=str(tmp_path)).data)
    assert capfd.readouterr() == ("", "")


def test_unknown_names_are_one_line(tmp_path, make_config):
    for name, error in (("nosuchthing", UsageError), ("cifar10/nothing", UserError)):
        with pytest.raises(error) as caught:
            data.load(make_config(data__name=name, data__dir=str(tmp_path)).data)
        assert "\n" not in str(caught.value)

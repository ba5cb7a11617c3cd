from __future__ import annotations

import dataclasses
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import data
from inception_jax.data import builders, storage
from inception_jax.errors import UsageError, UserError


def test_digits_are_those_of_scikit_learn(make_config):
    from sklearn.datasets import load_digits

    dataset = data.load(make_config().data)
    assert dict(dataset.sizes) == {"train": 1300, "test": 497}
    assert dataset.image_shape == (8, 8, 1)
    assert dataset.num_classes == 10
    examples = [dataset.source(s)[i] for s in dataset.sizes for i in range(dataset.sizes[s])]
    ours = sorted((e["image"].tobytes(), e["label"]) for e in examples)
    pixels, target = load_digits(return_X_y=True)
    theirs = np.round(pixels * 255 / 16).astype(np.uint8)
    assert ours == sorted((p.tobytes(), int(t)) for p, t in zip(theirs, target, strict=True))


def test_mnist5k_split_is_fixed_stratified_and_disjoint(make_config):
    dataset = data.load(make_config(data__name="mnist5k").data)
    assert dict(dataset.sizes) == {"train": 4000, "test": 1000}
    train, test = dataset.source("train"), dataset.source("test")
    np.testing.assert_array_equal(np.bincount(train.labels()), [400] * 10)
    np.testing.assert_array_equal(np.bincount(test.labels()), [100] * 10)
    seen = {train[i]["image"].tobytes() for i in range(4000)}
    assert sum(test[i]["image"].tobytes() in seen for i in range(1000)) == 0
    assert test[0]["image"].shape == (28, 28, 1)


def test_validation_is_cut_from_training_whatever_the_seed(make_config):
    whole = data.load(make_config().data)
    cut = [data.load(make_config(data__validation_fraction=0.1, seed=seed).data) for seed in (0, 1)]
    assert dict(cut[0].sizes) == {"train": 1170, "validation": 130, "test": 497}
    labels = [d.source("validation").labels() for d in cut]
    np.testing.assert_array_equal(labels[0], labels[1])
    shares = np.bincount(labels[0]) / np.bincount(whole.source("train").labels())
    np.testing.assert_allclose(shares, 0.1, atol=0.01)
    images = [
        cut[0].source(s)[i]["image"].tobytes()
        for s in ("train", "validation")
        for i in range(cut[0].sizes[s])
    ]
    parent = whole.source("train")
    assert sorted(images) == sorted(parent[i]["image"].tobytes() for i in range(1300))


def test_info_agrees_with_load(make_config):
    config = make_config()
    info, dataset = data.info(config.data), data.load(config.data)
    assert (info.num_classes, info.image_shape, info.sizes, info.channels) == (
        dataset.num_classes,
        dataset.image_shape,
        dataset.sizes,
        1,
    )


def test_source_has_a_stable_repr(make_config):
    config = make_config(data__validation_fraction=0.1)
    assert repr(data.load(config.data).source("train")) == repr(
        data.load(config.data).source("train")
    )


def test_tensorflow_is_never_imported(cache):
    code = (
        "import sys; from inception_jax import config, data;"
        f"values = {{'data.name': 'digits', 'data.dir': {str(cache)!r}}};"
        "c = config.apply(config.default(), values); d = data.load(c.data);"
        "next(data.train_iterator(d, c)); next(data.eval_batches(d, c, 'test'));"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b""


def test_import_is_light():
    code = (
        "import sys, inception_jax.data as d; d.names();"
        "assert not {'tensorflow_datasets', 'grain', 'jax', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _prepare(root, barrier, results):
    barrier.wait()
    storage.ensure_prepared(builders.bundle("controls", {"train": 64, "test": 40}), root)
    results.put(True)


def test_processes_that_prepare_the_same_data_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_prepare, args=(tmp_path, barrier, results)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["controls"]
    options = ConfigDict({"train": 64, "test": 40})
    config = config_lib.apply(
        config_lib.default(), {"data.name": "controls", "data.dir": str(tmp_path)}
    )
    config.data.options = options
    assert dict(data.load(config.data).sizes) == {"train": 64, "test": 40}


def test_preparing_that_fails_leaves_nothing(tmp_path):
    bundle = builders.bundle("controls", {"train": 64, "test": 40})

    def fail(split):
        yield from list(bundle.generate(split))[:3]
        raise OSError(28, "No space left on device")

    failing = dataclasses.replace(bundle, generate=fail)
    with pytest.raises(UserError, match="No space left on device; make room"):
        storage.ensure_prepared(failing, tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_licence_is_said_when_prepared_and_only_then(tmp_path, capsys):
    config = config_lib.apply(
        config_lib.default(), {"data.name": "digits", "data.dir": str(tmp_path)}
    )
    data.load(config.data)
    captured = capsys.readouterr()
    assert "CC BY 4.0" in captured.err
    assert captured.out == ""
    data.load(config.data)
    assert capsys.readouterr().err == ""
    data.prepare(config.data)
    assert "licence: CC BY 4.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"INCEPTION_JAX_CACHE": "/a"}, "/a/data"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/inception_jax/data"),
        ({"HOME": "/c"}, "/c/.cache/inception_jax/data"),
    ],
)
def test_cache_folder(monkeypatch, environment, expected):
    for name in ("INCEPTION_JAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(storage.cache_folder("")) == expected
    assert str(storage.cache_folder("/d")) == "/d"


def test_damaged_prepared_data_is_one_clear_line(tmp_path):
    config = config_lib.apply(
        config_lib.default(), {"data.name": "digits", "data.dir": str(tmp_path)}
    )
    data.load(config.data)
    (tmp_path / "digits/1.0.0/features.json").write_text("{")
    with pytest.raises(UserError, match="delete that folder"):
        data.load(config.data)


def test_every_name_has_a_line():
    assert {"digits", "mnist5k", "photos", "elpv", "controls", "folder", "imagenet2012"} <= set(
        data.names()
    )
    assert all(line and "\n" not in line for line in data.names().values())


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"data.name": "mnist5"}, UsageError, "did you mean 'mnist5k'"),
        ({"data.name": "photos", "data.options.patch": 32}, UsageError, "'patch_size'"),
        ({"data.name": "photos", "data.options.patch_size": "x"}, UsageError, "expects int"),
        ({"data.name": "photos", "data.options.patch_size": 147}, UserError, "between 8 and 146"),
        ({"data.name": "photos", "data.options.color": "red"}, UsageError, "grey, rgb"),
        ({"data.name": "digits", "data.validation_fraction": 1e-6}, UserError, "split empty"),
        ({"data.name": "controls", "data.options.effect": 0.9}, UserError, "between 0 and 0.75"),
        ({"data.name": "controls", "data.options.test": 1201}, UserError, "divide by its 4"),
        ({"data.name": "elpv", "data.options.fold": 5}, UsageError, "0, 1, 2, 3, 4"),
        ({"data.name": "folder"}, UserError, "needs data.options.path"),
    ],
)
def test_bad_input_is_one_clear_line(make_config, overrides, error, message):
    config = config_lib.apply(make_config(), overrides)
    with pytest.raises(error, match=message) as caught:
        data.load(config.data)
    assert "\n" not in str(caught.value)

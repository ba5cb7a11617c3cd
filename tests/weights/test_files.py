"""Every format is read to the bit, and nothing in a file is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from inception_jax import errors, weights
from inception_jax.weights import files, keras_file, torch_file
from tests.weights import writers


def some() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors = {f"layer{i}/weights": rng.normal(size=(i % 4 + 1, 3)) for i in range(100)}
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def assert_same(found, given) -> None:
    assert set(found) == set(given)
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_written_and_read_again(tmp_path, ending):
    given = some() | {"counter": np.zeros((), np.int64)}
    weights.write(tmp_path / f"w{ending}", given)
    assert_same(files.read(tmp_path / f"w{ending}"), given)
    assert [p.name for p in tmp_path.iterdir()] == [f"w{ending}"]


def test_torch_zip(tmp_path):
    given = some() | {"n": np.arange(6).reshape(2, 3), "half": np.ones((2, 2), np.float16)}
    writers.torch_zip(tmp_path / "w.pth", given)
    assert_same(files.read(tmp_path / "w.pth"), given)


def test_tensorflow_checkpoints(tmp_path):
    given = some()
    more = given | {"step": np.int64(7).reshape(()), "half": np.ones(5, np.float16)}
    writers.checkpoint_v2(tmp_path / "model.ckpt", more)
    writers.checkpoint_v1(tmp_path / "old.ckpt", given)
    for name in ("model.ckpt", "model.ckpt.index"):
        assert_same(files.read(tmp_path / name), more)
    assert_same(files.read(tmp_path / "old.ckpt"), given)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/inception_jax_was_here",)


@pytest.mark.parametrize("extra", [Evil(), print, Path("x")], ids=["call", "global", "object"])
def test_a_pickle_that_asks_for_more_is_refused(tmp_path, extra):
    mark = Path("/tmp/inception_jax_was_here")
    mark.unlink(missing_ok=True)
    writers.torch_zip(tmp_path / "w.pth", some(), extra=extra)
    with pytest.raises(errors.UserError, match=r"is refused: its pickle asks for \w+") as caught:
        files.read(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_bare_pickle_is_never_opened(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(errors.UserError, match=r"bare pickle.*safetensors"):
        files.read(path)


def test_what_is_no_state_dict():
    with pytest.raises(torch_file.Refused, match="holds a list"):
        torch_file.tensors([1])


def cut(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.pth", "w.h5", "old.ckpt"])
def test_a_cut_file_is_one_line(tmp_path, name):
    path = tmp_path / name
    if name == "w.pth":
        writers.torch_zip(path, some())
    elif name == "w.h5":
        h5(path, {"conv2d_1": {"conv2d_1/kernel:0": np.ones((64, 64, 3, 3), np.float32)}})
    elif name == "old.ckpt":
        writers.checkpoint_v1(path, some())
    else:
        weights.write(path, some())
    with pytest.raises(errors.UserError, match=r"damaged|cut off|no known format") as caught:
        files.read(cut(path))
    assert "\n" not in str(caught.value)


def test_cut_values_of_a_checkpoint(tmp_path):
    writers.checkpoint_v2(tmp_path / "m", some())
    cut(tmp_path / "m.data-00000-of-00001")
    with pytest.raises(errors.UserError, match="beyond the end of its data file"):
        files.read(tmp_path / "m")
    with pytest.raises(errors.UserError, match=r"name its \.index file"):
        files.read(tmp_path / "m.data-00000-of-00001")
    (tmp_path / "m.data-00000-of-00001").unlink()
    with pytest.raises(errors.UserError, match="damaged or cut off"):
        files.read(tmp_path / "m")


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"hello, world, this is text", "in no known format; known are .safetensors"),
        (b"", "in no known format"),
        (b"PK\x03\x04 and then nothing", "damaged or cut off"),
    ],
)
def test_other_files(tmp_path, content, pattern):
    path = tmp_path / "w.bin"
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=pattern):
        files.read(path)


def test_no_file_and_wrong_endings(tmp_path):
    with pytest.raises(errors.UserError, match="no file of weights"):
        files.read(tmp_path / "none.pth")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(errors.UserError, match="neither torch's nor Keras's nor NumPy's"):
        files.read(tmp_path / "a.zip")
    with pytest.raises(errors.UsageError, match="must end with"):
        weights.write(tmp_path / "w.pth", some())


def test_tensors_may_share_and_view_storages():
    storage = np.arange(12, dtype=np.float32)
    view = torch_file._tensor(storage, 2, (2, 3), (1, 2), False, None)
    np.testing.assert_array_equal(view, [[2, 4, 6], [3, 5, 7]])
    with pytest.raises(ValueError, match="beyond its storage"):
        torch_file._tensor(storage, 2, (4, 3), (3, 1), False, None)


def h5(path: Path, layers: dict[str, dict[str, np.ndarray]], root: str = "") -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for layer, variables in layers.items():
            for name, value in variables.items():
                file[f"{root}{layer}/{name}"] = value


# Keras 2's files: numbers from 1, or from wherever the session was; order in the file means nothing
@pytest.mark.parametrize("first", [1, 95])
@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_keras_layers_are_ranked_by_number(tmp_path, first, root):
    layers = {}
    for i in (10, 2, 1, 9, 0):  # "10" sorts before "2" as text
        layers[f"conv2d_{first + i}"] = {f"conv2d_{first + i}/kernel:0": np.full(1, i)}
        layers[f"batch_normalization_{first + i}"] = {"bn/beta:0": np.full(1, 100 + i)}
    layers = {k: {n.replace("bn/", f"{k}/"): v for n, v in vs.items()} for k, vs in layers.items()}
    h5(tmp_path / "w.h5", layers, root)
    found = keras_file.read_h5(tmp_path / "w.h5")
    kernels = [int(found[f"conv{i}/kernel"][0]) for i in range(5)]
    betas = [int(found[f"conv{i}/beta"][0]) for i in range(5)]
    assert kernels == [0, 1, 2, 9, 10]
    assert betas == [100, 101, 102, 109, 110]


def test_keras_3_without_names_is_refused(tmp_path):
    h5(tmp_path / "w.weights.h5", {"layers/conv2d/vars": {"0": np.ones(1)}})
    with pytest.raises(errors.UserError, match=r"numbers its layers by depth.*save it as \.keras"):
        files.read(tmp_path / "w.weights.h5")


def test_keras_archive_names_layers_in_its_config(tmp_path):
    h5(tmp_path / "model.weights.h5", {
        "layers/conv2d/vars": {"0": np.full(1, 5)}, "layers/conv2d_1/vars": {"0": np.full(1, 3)},
        "layers/batch_normalization/vars": {"0": np.full(1, 1), "1": np.full(1, 2),
                                            "2": np.full(1, 4)},
        "layers/dense/vars": {"0": np.full(1, 7), "1": np.full(1, 8)},
    })  # fmt: skip
    names = [("Conv2D", "conv2d_9"), ("Conv2D", "conv2d_4"), ("Dense", "predictions"),
             ("BatchNormalization", "batch_normalization_4")]  # fmt: skip
    layers = [{"class_name": kind, "config": {"name": name}} for kind, name in names]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    found = {name: int(value[0]) for name, value in files.read(tmp_path / "m.keras").items()}
    assert found == {
        "conv0/kernel": 3, "conv1/kernel": 5, "predictions/kernel": 7, "predictions/bias": 8,
        "conv0/beta": 1, "conv0/moving_mean": 2, "conv0/moving_variance": 4,
    }  # fmt: skip

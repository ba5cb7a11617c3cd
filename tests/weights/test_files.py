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
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_written_and_read_again(tmp_path, ending):
    given = some() | {"counter": np.zeros((), np.int64)}
    weights.write(tmp_path / f"w{ending}", given)
    assert_same(files.read(tmp_path / f"w{ending}"), given)
    assert [p.name for p in tmp_path.iterdir()] == [f"w{ending}"]


@pytest.mark.parametrize("write", [writers.torch_zip, writers.torch_old])
def test_torch_files(tmp_path, write):
    given = some() | {"n": np.arange(6).reshape(2, 3), "half": np.ones((2, 2), np.float16)}
    write(tmp_path / "w.pth", given)
    assert_same(files.read(tmp_path / "w.pth"), given)


def test_old_torch_files_of_other_protocols_and_headers(tmp_path):
    path = tmp_path / "w.pth"
    writers.torch_old(path, some())
    content = path.read_bytes()
    first = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=4) + content[len(first) :])
    assert_same(files.read(path), some())
    path.write_bytes(first + pickle.dumps(1002, protocol=2) + content[len(first) + 6 :])
    with pytest.raises(errors.UserError, match=r"damaged or cut off .*header is not torch's"):
        files.read(path)
    writers.torch_old(path, some(), view=("0", 0, 3))
    with pytest.raises(errors.UserError, match=r"is refused: .*as torch before 0\.4 wrote it"):
        files.read(path)


def shards(folder: Path, given: dict[str, np.ndarray]) -> Path:
    """A model in two files and their index, as hubs of models keep them."""
    names = sorted(given)
    files_of = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files_of.values()):
        weights.write(folder / file, {n: given[n] for n in names if files_of[n] == file})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files_of}))
    return index


def test_shards(tmp_path):
    index = shards(tmp_path, some())
    assert_same(files.read(index), some())


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda f: (f / "model-00002-of-00002.safetensors").unlink(),
         r"no file of weights at .*model-00002-of-00002"),
        (lambda f: weights.write(f / "model-00001-of-00002.safetensors", {}),
         r"model-00001-of-00002.safetensors has no layer0/weights, which model\.safetens"),
        (lambda f: cut(f / "model.safetensors.index.json"), "is damaged or cut off"),
        (lambda f: cut(f / "model-00001-of-00002.safetensors"), "is damaged or cut off"),
        (lambda f: (f / "model.safetensors.index.json").write_text("[1, 2]"), "is damaged or cut"),
        (lambda f: (f / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"a": "../a.safetensors"}})), "does not lie beside it"),
    ],
)  # fmt: skip
def test_damaged_shards_are_one_line(tmp_path, change, pattern):
    index = shards(tmp_path, some())
    change(tmp_path)
    with pytest.raises(errors.UserError, match=pattern) as caught:
        files.read(index)
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("write", [writers.torch_zip, writers.torch_old])
@pytest.mark.parametrize("extra", [Evil(), print, Path("x")], ids=["call", "global", "object"])
def test_a_pickle_that_asks_for_more_is_refused(tmp_path, extra, write):
    mark = Path("/tmp/inception_jax_was_here")
    mark.unlink(missing_ok=True)
    write(tmp_path / "w.pth", some(), extra=extra)
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


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.pth", "old.pth", "w.h5", "old.ckpt"])
@pytest.mark.parametrize("share", [0.02, 0.6, 0.98])
def test_a_cut_file_is_one_line(tmp_path, name, share):
    path = tmp_path / name
    if name == "w.pth":
        writers.torch_zip(path, some())
    elif name == "old.pth":
        writers.torch_old(path, some())
    elif name == "w.h5":
        h5(path, {"conv2d_1": {"conv2d_1/kernel:0": np.ones((64, 64, 3, 3), np.float32)}})
    elif name == "old.ckpt":
        writers.checkpoint_v1(path, some())
    else:
        weights.write(path, some())
    with pytest.raises(errors.UserError, match=r"damaged|cut off|no known format") as caught:
        files.read(cut(path, share))
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


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    weights.write(tmp_path / "w.npz", some())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(errors.UserError, match="cannot be read: Permission denied"):
        files.read(tmp_path / "w.npz")


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
    storage = torch_file._Storage(np.dtype(np.float32), 12)
    storage.values = np.arange(12, dtype=np.float32)
    view = torch_file._Tensor(storage, 2, (2, 3), (1, 2), False, None)
    np.testing.assert_array_equal(view.values(), [[2, 4, 6], [3, 5, 7]])
    # too long, before the start, of endless size through strides of zero, of a negative size
    for offset, size, stride in (
        (2, (4, 3), (3, 1)), (-1, (2,), (1,)), (0, (4000, 4000), (0, 0)), (0, (-1, 2), (1, 1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="beyond its storage"):
            torch_file._Tensor(storage, offset, size, stride).values()
    with pytest.raises(torch_file.Refused, match="no storage"):
        torch_file._Tensor("text", 0, (1,), (1,))


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

import dataclasses

import numpy as np
import pytest

import inception_jax
from inception_jax import config as configs
from inception_jax import data
from inception_jax.data import memory


@pytest.fixture
def digits(tmp_path):
    """How to open `digits`, prepared in a folder of the test's."""
    chosen = configs.apply(
        configs.default(), {"data.name": "digits", "data.image_size": 8, "data.dir": str(tmp_path)}
    )

    def load(**overrides):
        return data.load(configs.apply(chosen, overrides).data)

    return load


@pytest.fixture
def decoded(monkeypatch):
    """Splits that were decoded, as they are."""
    found = []
    original = memory._decode

    def decode(dataset, split, *rest):
        found.append(split)
        return original(dataset, split, *rest)

    monkeypatch.setattr(memory, "_decode", decode)
    return found


def test_a_second_process_reads_what_the_first_has_decoded(digits, decoded):
    first = memory.stored(digits(), "train", 1)
    second = memory.stored(digits(), "train", 1)
    assert decoded == ["train"]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    source = digits().source("train")
    np.testing.assert_array_equal(second[0][7], source[7]["image"])
    assert second[1][7] == source[7]["label"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"\x93NUMPY", "other"])
def test_a_damaged_file_is_decoded_again_and_mended(digits, decoded, content):
    dataset = digits()
    whole = memory.stored(dataset, "test", 1)
    path = dataset.folder / f"decoded-test-{inception_jax.__version__}.npz"
    if content == "other":
        np.savez(path, images=whole[0][:5], labels=whole[1][:5])
    else:
        path.write_bytes(content)
    for _ in range(2):
        np.testing.assert_array_equal(memory.stored(digits(), "test", 1)[0], whole[0])
    assert decoded == ["test", "test"]


def test_a_split_that_was_cut_is_not_taken_for_the_whole(digits, decoded):
    whole = memory.stored(digits(), "train", 1)
    cut = memory.stored(digits(**{"data.validation_fraction": 0.25}), "train", 1)
    assert len(cut[1]) < len(whole[1])
    assert decoded == ["train", "train"]


def test_a_folder_that_cannot_be_written_is_read_all_the_same(digits, tmp_path):
    dataset = dataclasses.replace(digits(), folder=tmp_path / "gone")
    assert len(memory.stored(dataset, "test", 1)[1]) == dataset.sizes["test"]

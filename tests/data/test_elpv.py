from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest

from inception_jax import data
from inception_jax.data.builders import elpv
from inception_jax.errors import UserError

installed = importlib.util.find_spec("elpv_dataset") is not None


def test_module_table_closes_on_the_papers_count():
    sizes = np.diff([*elpv.MODULE_STARTS, elpv.CELLS])
    assert len(sizes) == 44
    odd = {start: int(s) for start, s in zip(elpv.MODULE_STARTS, sizes, strict=True) if s != 60}
    assert odd == {1260: 54, 1794: 50, 2144: 72, 2396: 48}


def test_folds_are_a_partition_of_the_modules_with_the_twins_together():
    assert sorted(m for fold in elpv.FOLDS for m in fold) == list(range(44))
    assert sum(set(elpv.TWINS) <= set(fold) for fold in elpv.FOLDS) == 1
    np.testing.assert_array_equal(np.bincount(elpv.fold_of_cell()), [482, 582, 480, 540, 540])


@pytest.mark.parametrize("fold", range(5))
def test_roles_follow_the_fold(fold):
    roles = elpv.bundle({"fold": fold}).roles
    assert roles["test"] == (f"fold{fold}",)
    assert roles["validation"] == (f"fold{(fold + 1) % 5}",)
    parts = [set(part) for part in roles.values()]
    assert set().union(*parts) == {f"fold{i}" for i in range(5)}
    assert all(not a & b for a, b in itertools.combinations(parts, 2))


def test_all_folds_share_one_prepared_copy():
    assert elpv.bundle({"fold": 0}).variant == elpv.bundle({"fold": 3}).variant
    assert elpv.bundle({"target": "any"}).variant != elpv.bundle({}).variant


def test_without_the_package_it_says_how_to_install(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'inception-jax\[elpv\]'"):
        data.load(make_config(data__name="elpv", data__dir=str(tmp_path)).data)


@pytest.mark.slow
@pytest.mark.skipif(not installed, reason="elpv-dataset is not installed (extra elpv)")
def test_certain_cells_by_module(make_config, capsys):
    dataset = data.load(make_config(data__name="elpv").data)
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().err
    assert dict(dataset.sizes) == {"train": 1330, "validation": 479, "test": 414}
    labels = np.concatenate([dataset.source(s).labels() for s in dataset.sizes])
    np.testing.assert_array_equal(np.bincount(labels), [1508, 715])
    assert dataset.source("test")[0]["image"].shape == (300, 300, 1)

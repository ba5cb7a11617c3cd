"""The published list of validation images, in the forms in which it is found."""

from __future__ import annotations

import fake_tfds
import numpy as np
import pytest

from inception_jax import data
from inception_jax.data import blacklist
from inception_jax.errors import UserError


@pytest.mark.parametrize(
    "content",
    ["1\n17\n", "00001 017", "ILSVRC2012_val_00000001.JPEG\nILSVRC2012_val_00000017.JPEG"],
)
def test_numbers_and_names(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_text(content)
    found = blacklist.read(str(path))
    assert found is not None
    listed = [i for i in range(1, 40) if found.has(f"ILSVRC2012_val_{i:08d}.JPEG")]
    assert listed == [1, 17]


def test_the_published_counts(tmp_path):
    """1,762 listed of 50,000 leave the 48,238 that the paper evaluates on (section 9)."""
    numbers = np.random.default_rng(0).choice(np.arange(1, 50_001), 1762, replace=False)
    (tmp_path / "list.txt").write_text("\n".join(map(str, numbers)))
    listed = blacklist.read(str(tmp_path / "list.txt"))
    assert listed is not None
    found = sum(listed.has(f"ILSVRC2012_val_{i:08d}.JPEG") for i in range(1, 50_001))
    about = listed.about(found, 50_000)
    assert (about["listed"], about["found"], about["images_used"]) == (1762, 1762, 48_238)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("1\nn0144/x\n", "has the line 'n0144/x'"), (None, "cannot read")],
)
def test_another_kind_of_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        blacklist.read(str(path))


def test_batches_of_the_test_split_say_what_is_listed(tmp_path, make_config):
    fake_tfds.write_imagenet(tmp_path, train=8, validation=21)
    (tmp_path / "list.txt").write_text("2\n3\n20\n999\n")
    config = make_config(
        data__name="imagenet2012", data__dir=str(tmp_path), data__eval_batch_size=8,
        data__blacklist=str(tmp_path / "list.txt"),
    )  # fmt: skip
    dataset = data.load(config.data)
    batches = list(data.eval_batches(dataset, config, "test"))
    excluded = np.concatenate([batch["excluded"] for batch in batches])
    mask = np.concatenate([batch["mask"] for batch in batches])
    names = [dataset.source("test").item(i).file_name for i in range(21)]
    wanted = [int(name[-9:-5]) in (2, 3, 20) for name in names]
    np.testing.assert_array_equal(excluded[mask], wanted)
    assert not excluded[~mask].any()
    assert "excluded" not in next(data.eval_batches(dataset, config, "train"))


def test_images_without_names_have_no_blacklist(tmp_path, make_config):
    (tmp_path / "list.txt").write_text("1")
    config = make_config(data__blacklist=str(tmp_path / "list.txt"))
    with pytest.raises(UserError, match="have no file names"):
        next(data.eval_batches(data.load(config.data), config, "test"))

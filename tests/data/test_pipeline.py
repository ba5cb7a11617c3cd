from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from inception_jax import data
from inception_jax.data import dataset as dataset_lib
from inception_jax.errors import UsageError, UserError

AUGMENTS = ("none", "flip", "shift_flip", "inception")


def open_both(make_config, **overrides):
    config = make_config(data__batch_size=128, **overrides)
    return data.load(config.data), config


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.fixture(params=["memory", "streamed"])
def place(request, monkeypatch):
    """Both ways to read: whole batches from memory, and example by example."""
    if request.param == "streamed":
        monkeypatch.setattr(dataset_lib, "IN_MEMORY_BYTES", 0)
        monkeypatch.setattr("inception_jax.data.memory.IN_MEMORY_BYTES", 0)
    return request.param


@pytest.mark.parametrize("augment", AUGMENTS)
def test_same_seed_same_batches_and_resume_is_exact(make_config, place, augment):
    dataset, config = open_both(make_config, data__augment=augment)
    unbroken = data.train_iterator(dataset, config)
    first = take(unbroken, 7)
    state = json.loads(json.dumps(unbroken.get_state()))
    rest = take(unbroken, 8)  # into the second epoch: an epoch has 10 steps
    resumed = data.train_iterator(dataset, config)
    resumed.set_state(state)
    assert_same(take(resumed, 8), rest)
    assert_same(take(data.train_iterator(dataset, config), 7), first)
    assert first[0]["image"].shape == (128, 8, 8, 1)
    assert (first[0]["image"].dtype, first[0]["label"].dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize("augment", AUGMENTS[:3])
def test_memory_and_streaming_give_the_same(make_config, monkeypatch, augment):
    dataset, config = open_both(make_config, data__augment=augment, data__image_size=6)
    in_memory = take(data.train_iterator(dataset, config), 3)
    evaluated = list(data.eval_batches(dataset, config, "test"))
    monkeypatch.setattr("inception_jax.data.memory.IN_MEMORY_BYTES", 0)
    assert_same(take(data.train_iterator(dataset, config), 3), in_memory)
    assert_same(list(data.eval_batches(dataset, config, "test")), evaluated)


@pytest.mark.parametrize("augment", ["none", "shift_flip", "inception"])
@pytest.mark.parametrize("shards", [2, 4])
def test_global_batch_does_not_depend_on_shards(make_config, place, augment, shards):
    dataset, config = open_both(make_config, data__augment=augment)
    whole = take(data.train_iterator(dataset, config), 12)
    parts = [
        take(data.train_iterator(dataset, config, shard=(k, shards)), 12) for k in range(shards)
    ]
    joined = [
        {key: np.concatenate([part[step][key] for part in parts]) for key in whole[0]}
        for step in range(12)
    ]
    assert_same(joined, whole)


class Recorded:
    """A source that notes which examples are asked for."""

    def __init__(self, source):
        self.source, self.asked = source, []

    def __len__(self):
        return len(self.source)

    def item(self, index):
        self.asked.append(index)
        return self.source.item(index)

    def labels(self):
        return self.source.labels()


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_host_reads_its_share_alone(make_config, monkeypatch, split):
    monkeypatch.setattr("inception_jax.data.memory.IN_MEMORY_BYTES", 0)
    dataset, config = open_both(
        make_config, data__augment="inception", data__threads=0, data__eval_batch_size=128
    )
    asked = []
    for host in range(4):
        source = Recorded(dataset.source(split))
        seen = dataclasses.replace(dataset, sources={**dataset.sources, split: source}, memory={})
        if split == "train":
            take(data.train_iterator(seen, config, shard=(host, 4)), 3)
        else:
            list(data.eval_batches(seen, config, split, shard=(host, 4)))
        asked.append(source.asked)
    together = [index for part in asked for index in part]
    assert len(set(together)) == len(together)  # nothing is read twice
    if split == "train":
        assert {len(part) for part in asked} == {3 * 128 // 4}
    else:
        assert sorted(together) == list(range(497))


def test_resume_may_change_the_number_of_shards_and_threads(make_config):
    dataset, config = open_both(make_config, data__augment="inception", data__threads=3)
    iterator = data.train_iterator(dataset, config, shard=(0, 2))
    take(iterator, 3)
    state, expected = iterator.get_state(), next(iterator)
    other = make_config(data__batch_size=128, data__augment="inception", data__threads=0)
    resumed = data.train_iterator(dataset, other)
    resumed.set_state(state)
    np.testing.assert_array_equal(next(resumed)["image"][:64], expected["image"])


def test_every_epoch_has_every_example_at_most_once_in_a_new_order(make_config, place):
    dataset, config = open_both(make_config)
    iterator = data.train_iterator(dataset, config)
    parent = dataset.source("train")
    ids = {}
    for i in range(len(parent)):
        ids.setdefault(parent[i]["image"].tobytes(), []).append(i)
    epochs = []
    for _ in range(2):
        images = np.concatenate([b["image"] for b in take(iterator, 10)])
        seen = [image.tobytes() for image in images]
        assert len(seen) == 1280  # 1,300 examples less the incomplete batch
        assert all(seen.count(image) <= len(ids[image]) for image in set(seen))
        epochs.append(seen)
    assert epochs[0] != epochs[1]
    assert len(set(epochs[0]) ^ set(epochs[1])) > 0  # other examples are dropped


def test_seed_changes_the_order(make_config):
    dataset, config = open_both(make_config)
    _, other = open_both(make_config, seed=1)
    one = next(data.train_iterator(dataset, config))
    two = next(data.train_iterator(dataset, other))
    assert not np.array_equal(one["label"], two["label"])


def test_order_and_mirror_are_shared_across_resolutions(make_config):
    labels, images = [], []
    for size in (8, 4):
        dataset, config = open_both(
            make_config, data__image_size=size, data__augment="shift_flip", data__eval_crop=1.0
        )
        batch = next(data.train_iterator(dataset, config))
        labels.append(batch["label"])
        images.append(batch["image"].astype(float))
    np.testing.assert_array_equal(labels[0], labels[1])
    pooled = images[0].reshape(128, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    same = np.corrcoef(pooled.ravel(), images[1].ravel())[0, 1]
    mixed = np.corrcoef(pooled.ravel(), images[1][:, :, ::-1].ravel())[0, 1]
    assert same > 0.95
    assert mixed < 0.8


@pytest.mark.parametrize("batch", [1, 100, 497, 512])
@pytest.mark.parametrize("shards", [1, 2])
def test_evaluation_counts_exactly_n(make_config, place, batch, shards):
    size = batch * shards
    dataset, config = open_both(make_config, data__eval_batch_size=size)
    parts = [
        list(data.eval_batches(dataset, config, "test", shard=(k, shards))) for k in range(shards)
    ]
    assert len({len(part) for part in parts}) == 1
    assert {b["image"].shape for part in parts for b in part} == {(batch, 8, 8, 1)}
    steps = [np.concatenate([part[s]["mask"] for part in parts]) for s in range(len(parts[0]))]
    assert sum(int(mask.sum()) for mask in steps) == 497
    labels = [part[s]["label"][part[s]["mask"]] for s in range(len(parts[0])) for part in parts]
    np.testing.assert_array_equal(np.concatenate(labels), dataset.source("test").labels())
    last = parts[-1][-1]
    assert not last["image"][~last["mask"]].any()


def test_training_split_can_be_evaluated_without_augmentation(make_config):
    dataset, config = open_both(make_config, data__augment="inception")
    batches = list(data.eval_batches(dataset, config, "train"))
    np.testing.assert_array_equal(batches[0]["image"][0], dataset.source("train")[0]["image"])


def test_batches_do_not_share_memory_with_the_data(make_config):
    dataset, config = open_both(make_config)
    before = next(data.train_iterator(dataset, config))["image"].copy()
    batch = next(data.train_iterator(dataset, config))
    batch["image"][:] = 0
    np.testing.assert_array_equal(next(data.train_iterator(dataset, config))["image"], before)


def test_bad_input(make_config):
    dataset, config = open_both(make_config)
    with pytest.raises(UsageError, match="did you mean 'shift_flip'"):
        data.train_iterator(dataset, make_config(data__augment="shiftflip"))
    with pytest.raises(UserError, match=r"lower data\.batch_size"):
        data.train_iterator(dataset, make_config(data__batch_size=2000))
    with pytest.raises(UserError, match="cannot be shared evenly by 3 hosts"):
        data.train_iterator(dataset, config, shard=(0, 3))
    with pytest.raises(ValueError, match="shard"):
        data.train_iterator(dataset, config, shard=(2, 2))
    with pytest.raises(UserError, match="no 'validation' split"):
        next(data.eval_batches(dataset, config, "validation"))
    iterator = data.train_iterator(dataset, config)
    state = iterator.get_state()
    _, other = open_both(make_config, seed=5)
    with pytest.raises(UserError, match="seed 0, but this run has 5"):
        data.train_iterator(dataset, other).set_state(state)

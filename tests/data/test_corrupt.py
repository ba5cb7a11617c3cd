"""Images that cannot be read: replaced by the next good one in training, an error elsewhere."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from PIL import Image

from inception_jax import data
from inception_jax.data import decode, order
from inception_jax.data.corrupt import CorruptImages
from inception_jax.errors import UserError

BAD = (3, 4, 11)
LOGGER = "inception_jax.data.corrupt"


@pytest.fixture
def folder(tmp_path):
    """24 training images whose shade is their number, three of them corrupt, and a test split."""
    for split, count in (("train", 24), ("test", 4)):
        for index in range(count):
            file = tmp_path / split / f"class{index % 2}" / f"{index:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (10 * index,) * 3).save(file)
            if split == "train" and index in BAD:
                file.write_bytes(b"not an image")
    return tmp_path


@pytest.fixture(params=["streamed", "memory"])
def place(request):
    """Images of any size, read one by one, and those of one size, which are kept decoded."""
    return request.param


def opened(make_config, folder, place="streamed", **overrides):
    config = make_config(
        data__name="folder", data__options__path=str(folder), data__batch_size=8,
        data__eval_batch_size=4, data__image_size=12, **overrides,
    )  # fmt: skip
    dataset = data.load(config.data)
    shape = (12, 12, 3) if place == "memory" else None
    return dataclasses.replace(dataset, image_shape=shape), config


def shades(batches):
    """The shade of every image, which is not augmented."""
    return [int(image[0, 0, 0]) for batch in batches for image in batch["image"]]


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def files(dataset):
    return [dataset.source("train").item(i).where for i in range(24)]


def test_the_next_good_image_of_the_order_takes_the_place(make_config, folder, caplog, place):
    dataset, config = opened(make_config, folder, place)
    iterator = data.train_iterator(dataset, config)
    with caplog.at_level(logging.WARNING, LOGGER):
        found = shades(take(iterator, 3))
    shade = {}
    for index in range(24):
        number = int(files(dataset)[index][-6:-4])
        shade[index] = None if number in BAD else 10 * number
    sequence = [shade[int(index)] for index in order.epoch_order(0, 0, 24)]
    following = [
        next(s for s in sequence[place:] + sequence[:place] if s is not None) for place in range(24)
    ]
    assert found == following
    named = iterator.corrupt.found()
    assert {int(text.split(".png")[0][-2:]) for text in named.values()} == set(BAD)
    assert len([r for r in caplog.records if r.name == LOGGER]) == len(BAD)


def test_skipping_is_the_same_after_a_resume_and_on_any_number_of_hosts(make_config, folder):
    dataset, config = opened(make_config, folder)
    iterator = data.train_iterator(dataset, config)
    whole = take(iterator, 2)
    state = iterator.get_state()
    rest = take(iterator, 4)
    resumed = data.train_iterator(dataset, config)
    resumed.set_state(state)
    assert shades(take(resumed, 4)) == shades(rest)
    assert set(resumed.corrupt.found()) == set(iterator.corrupt.found())
    halves = [take(data.train_iterator(dataset, config, shard=(k, 2)), 2) for k in range(2)]
    joined = [np.concatenate([half[s]["image"] for half in halves]) for s in range(2)]
    np.testing.assert_array_equal(joined, [batch["image"] for batch in whole])


def test_more_than_the_limit_ends_the_run(make_config, folder, place):
    dataset, config = opened(make_config, folder, place, data__max_corrupt=2)
    with pytest.raises(UserError, match=r"3 training images .* more than data.max_corrupt 2"):
        take(data.train_iterator(dataset, config), 3)


def test_past_the_limit_every_place_that_meets_a_corrupt_image_says_so():
    """The first to meet it may be read ahead, and its error never be asked for."""

    def read(index):
        raise decode.CorruptImage(f"cannot read the image {index}")

    corrupt = CorruptImages(1)
    with pytest.raises(UserError, match="no image of the training split"):
        corrupt.first_good([3], read)
    for _ in range(2):
        with pytest.raises(UserError, match=r"2 training images .* more than data.max_corrupt 1"):
            corrupt.first_good([4, 3], read)


def test_none_may_be_allowed(make_config, folder, place):
    dataset, config = opened(make_config, folder, place, data__max_corrupt=0)
    with pytest.raises(UserError, match=r"cannot read the image .*\.png"):
        take(data.train_iterator(dataset, config), 3)


def test_in_evaluation_it_is_an_error(make_config, folder, place):
    dataset, config = opened(make_config, folder, place)
    with pytest.raises(UserError, match=r"cannot read the image .*\.png"):
        list(data.eval_batches(dataset, config, "train"))


def test_a_vanished_file_is_not_skipped(make_config, folder):
    dataset, config = opened(make_config, folder)
    (folder / "train" / "class0" / "00.png").unlink()
    with pytest.raises(UserError, match=r"00\.png: No such file .*still there"):
        take(data.train_iterator(dataset, config), 3)

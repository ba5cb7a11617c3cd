"""The input benchmark measures what it says and says it in a line each."""

from __future__ import annotations

import argparse
import io
import re
import sys

import pytest
from PIL import Image

from inception_jax import errors
from inception_jax.bench import data, photographs, torchvision_data


def parse(*words):
    parser = argparse.ArgumentParser()
    data.configure(parser)
    return parser.parse_args(words)


def test_the_images_are_whole_jpegs_of_the_size_that_is_printed():
    for content in photographs.jpegs():
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("JPEG", (500, 375))
            image.load()


def test_every_pipeline_has_a_line(capsys):
    data.run(parse("--no-training", "--seconds=0.03", "--image-size=32", "--threads=1"))
    first, *lines = capsys.readouterr().out.splitlines()
    assert "500 x 375 px to batches of 32 px" in first
    assert lines[-1].startswith("pil ")
    assert all(re.search(r" [\d,]+\.\d images/s$", line) for line in lines)


@pytest.mark.parametrize(
    ("python", "message"),
    [(sys.executable, "No module named 'torch"), ("/nowhere/python", "No such file")],
)
def test_an_interpreter_without_torchvision_is_one_line(python, message):
    if python == sys.executable and "torchvision" in sys.modules:
        pytest.skip("it has torchvision")
    with pytest.raises(errors.UserError, match=message):
        torchvision_data.measure(python, seconds=0.03)


@pytest.mark.slow
def test_the_training_speed_is_measured_beside_it():
    small = {
        "model.name": "inception_small",
        "model.width": 0.25,
        "model.ops": "xla",
        "model.aux.sites": (),
    }
    assert data.measure_training(image_size=24, batch_size=2, steps=1, overrides=small) > 0

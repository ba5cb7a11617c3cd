"""The benchmark itself: what it prints, and that its figures follow from its rounds."""

from __future__ import annotations

import json

import pytest

from inception_jax import errors
from inception_jax.bench import compare, setting, steps
from inception_jax.bench.compare import Side
from inception_jax.cli import main

ABOUT = {"versions": {"jax": "1"}, "machine": {"cpu": "x", "cores": 2, "devices": 2}}
OURS = Side((10.0, 30.0, 20.0), 5.0, 2_000_000_000, 500_000_000, 0, ABOUT)
THEIRS = Side((10.0, 20.0, 20.0), 1.0, 1_000_000_000, 400_000_000, 0, {"versions": {"torch": "2"}})
TINY = ("--network", "inception_small", "--config.model.width=0.1", "--config.data.image_size=8")


def test_defaults_are_what_a_user_gets():
    found = setting.create("train", "inception_v3", {}).config
    assert (found.data.image_size, found.data.batch_size) == (299, 8)
    assert (found.model.dtype, found.model.ops, found.parallel.devices) == ("float32", "auto", 0)
    small = setting.create("eval", "inception_small", {"data.batch_size": 6})
    assert (small.config.data.image_size, small.channels) == (28, 1)
    assert small.config.data.eval_batch_size == 6
    assert setting.from_json(small.to_json()) == small


def test_median_ratio_and_spread():
    chosen = setting.create("train", "inception_v3", {})
    content = steps.summary(chosen, (OURS, THEIRS), "torchvision")
    assert content["images_per_second"] == 20.0
    assert (content["ratio"], content["ratio_spread"]) == (1.0, [1.0, 1.5])
    assert (content["compile_seconds"], content["peak_bytes"]) == (5.0, 2_000_000_000)
    assert content["against"]["images_per_second"] == 20.0
    assert "ratio 1.000 (1.000 to 1.500)" in steps.text(content)
    assert "ratio" not in steps.summary(chosen, (OURS,), None)


@pytest.mark.parametrize("measure", ["train", "eval"])
@pytest.mark.slow
def test_a_real_measurement(measure, capsys):
    assert main(["bench", measure, *TINY, "--rounds=2", "--seconds=0.1", "--format=json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["rounds"]) == 2
    assert content["images_per_second"] > 0
    assert content["compile_seconds"] > 0
    assert content["peak_bytes"] > 10_000_000
    assert content["image_size"] == 8


def test_a_process_that_fails_says_why(monkeypatch):
    chosen = setting.create("train", "inception_small", {})
    monkeypatch.setattr(compare, "SIDES", ("nobody",))
    with pytest.raises(errors.UserError, match=r"process ended: .*inception_jax\.bench\.nobody"):
        compare.measure(chosen, against=False, rounds=1, seconds=0.1)


def test_wrong_usage_is_one_line(capsys):
    assert main(["bench", "train", "--netwrk", "x"]) == 2
    assert main(["bench", "train", "--config.model.widht=2"]) == 2
    assert "did you mean 'model.width'" in capsys.readouterr().err

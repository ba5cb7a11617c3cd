"""`inception-jax weights` as a user runs it."""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception_jax import train, weights
from inception_jax.cli import main
from tests.weights import writers
from tests.weights.helpers import tensors


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    writers.checkpoint_v2(folder / "model.ckpt", tensors("slim"))
    assert main(["weights", "import", "slim", f"{folder}/model.ckpt", f"{folder}/run"]) == 0
    return folder


def test_import_makes_a_run_and_prints_its_rules(imported, capsys):
    again = imported / "again"
    words = ["weights", "import", "slim", str(imported / "model.ckpt"), str(again)]
    assert main([*words, "--aux", "drop"]) == 0
    out = capsys.readouterr().out
    assert "average pooling: does not count its padding" in out
    assert "batch norm: without gamma, epsilon 0.001, decay 0.9997" in out
    assert "input: RGB in [-1, 1]" in out
    assert "23,817,352 parameters, auxiliary heads: none" in out
    assert main(words) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_an_imported_run_opens_like_a_trained_one(imported):
    config, model, variables = train.from_workdir(imported / "run")
    assert model.options.aux.sites == ("Mixed_6e",)
    assert not model.options.count_include_pad
    assert (config.data.image_size, config.data.eval_crop) == (299, 0.875)
    assert (config.data.eval_resize, config.data.eval_interpolation) == ("crop", "bilinear")
    given = tensors("slim")["InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1/weights"]
    kernel = variables["params"]["Mixed_5b"]["branch0_conv0"]["kernel"]
    np.testing.assert_array_equal(kernel, given)
    assert json.loads((imported / "run/result.json").read_text())["weights"]["source"]


def test_export_gives_the_file_back(imported, capsys):
    out = imported / "back.safetensors"
    assert main(["weights", "export", "slim", str(imported / "run"), str(out)]) == 0
    assert "388 tensors" in capsys.readouterr().out
    from inception_jax.weights import files

    back, given = files.read(out), tensors("slim")
    assert set(back) == set(given)
    assert all(back[name].tobytes() == given[name].tobytes() for name in given)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["import", "torchvison", "a.pth", "out"], 2, "did you mean 'torchvision'"),
        (["import", "torchvision", "nowhere.pth", "out"], 1, "no file of weights at nowhere.pth"),
        (["import", "keras", "a.h5", "out", "--network", "googlenet"], 2, "unknown network"),
        (["export", "torchvision", "nowhere", "out.safetensors"], 1, "no finished run"),
        (["import", "torchvision", "a.pth", "out", "--num-classes", "0"], 2, "at least 1"),
        (["imprt", "torchvision", "a.pth", "out"], 2, "invalid choice"),
    ],
)
def test_mistakes_are_one_line(words, code, message, capsys):
    if "imprt" in words:  # argparse ends the program itself
        with pytest.raises(SystemExit, match=str(code)):
            main(["weights", *words])
    else:
        assert main(["weights", *words]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_weights_of_another_network_are_one_line(imported, tmp_path, capsys):
    weights.write(tmp_path / "g.npz", tensors("torchvision", "googlenet"))
    words = ["weights", "import", "torchvision", str(tmp_path / "g.npz"), str(tmp_path / "out")]
    assert main(words) == 1
    assert "bn_googlenet of torchvision" in capsys.readouterr().err
    assert main([*words, "--network", "googlenet", "--aux", "drop"]) == 0
    assert "6,624,904 parameters" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["weights.md", "cost.md"])
def test_commands_in_the_docs_are_commands(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    lines = [line for line in text.splitlines() if line.startswith("    inception-jax ")]
    assert lines
    for line in lines:
        name, *words = shlex.split(line, comments=True)[1:]
        command = importlib.import_module(f"inception_jax.cli.{name}")
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        command.configure(parser)
        args = parser.parse_args(words)
        if name == "weights":
            weights.find_rules(args.source, args.network)
        if name == "cost":
            for network in args.networks:
                command.parse_network(network)


def test_averages_are_taken_where_asked_for(tmp_path, capsys):
    given = tensors("slim", aux=False)
    averages = {f"{n}/ExponentialMovingAverage": v + 1 for n, v in given.items()}
    writers.checkpoint_v1(tmp_path / "model.ckpt-5", {**given, **averages})
    words = ["weights", "import", "slim", str(tmp_path / "model.ckpt-5"), str(tmp_path / "run")]
    assert main([*words, "--ema"]) == 0
    assert f"averaged weights: {len(given)} of {len(given)}" in capsys.readouterr().out
    _, _, variables = train.from_workdir(tmp_path / "run")
    bias = given["InceptionV3/Logits/Conv2d_1c_1x1/biases"]
    np.testing.assert_array_equal(variables["params"]["Logits"]["bias"], bias + 1)


@pytest.mark.slow
def test_an_imported_run_predicts(imported, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    Image.fromarray(pixels).save(imported / "photo.jpg")
    assert main(["predict", "--workdir", str(imported / "run"), str(imported / "photo.jpg")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6

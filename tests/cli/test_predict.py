"""`inception-jax predict` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from inception_jax.cli import main


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_the_top_classes_are_those_of_the_network(runs, picture, capsys):
    folder = runs.make("one")
    words = ["predict", "--workdir", str(folder), str(picture), str(picture)]
    assert main([*words, "--format", "json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in found] == [str(picture)] * 2
    pixels = np.asarray(Image.open(picture), np.float64).reshape(-1)
    wanted = softmax((pixels / 127.5 - 1) @ runs.kernel(folder))
    order = np.argsort(-wanted)[:3]
    top = found[0]["top"]
    assert [guess["index"] for guess in top] == order.tolist()
    assert [guess["name"] for guess in top] == [f"digit {k}" for k in order]
    np.testing.assert_allclose([guess["probability"] for guess in top], wanted[order], rtol=1e-4)


@pytest.mark.parametrize("crops", ["12", "144"])
def test_a_file_of_another_size_kind_and_with_crops(runs, tmp_path, capsys, crops):
    folder = runs.make("one", optim__ema_decay=0.9)
    wide = np.random.default_rng(0).integers(0, 256, (40, 100, 3), np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.jpg")
    assert (
        main(["predict", "--workdir", str(folder), f"{tmp_path}/wide.jpg", "--crops", crops]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    shares = [float(line.split()[0]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--workdir", "{root}/none", "{picture}"], 1, "no such folder"),
        (["--workdir", "{root}", "{picture}"], 1, "no finished run"),
        (["--workdir", "{run}", "{root}/none.png"], 1, "No such file"),
        (["--workdir", "{run}", "{picture}", "{root}/text.png"], 1, "cannot identify image"),
        (["--workdir", "{run}", "{root}"], 1, "cannot read the image"),
        (["--workdir", "{run}", "{picture}", "--top", "0"], 2, "at least 1"),
        (["--workdir", "{run}", "{picture}", "--weights", "ema"], 1, "kept no averages"),
        (["--workdir", "{run}", "{picture}", "--checkpoint", "best"], 1, "no best checkpoint"),
        (["--workdir", "{empty}", "{picture}"], 1, "no {empty}/variables.msgpack"),
    ],
)
def test_mistakes_are_one_line(runs, picture, capsys, words, code, message):
    run, empty = runs.make("run"), runs.make("empty")
    (empty / "variables.msgpack").unlink()
    (runs.root / "text.png").write_text("no image")
    capsys.readouterr()
    places = {"root": runs.root, "run": run, "picture": picture, "empty": empty}
    assert main(["predict", *(word.format(**places) for word in words)]) == code
    captured = capsys.readouterr()
    assert message.format(**places) in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")

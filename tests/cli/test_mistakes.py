"""A user's mistake, whatever the command: one line, the right exit code, no trace."""

from __future__ import annotations

import json

import pytest

from inception_jax import config, data
from inception_jax.cli import main

TRAIN = ["train", "--config", "configs/mnist5k.py", "--config.data.name=digits", "--quiet"]


@pytest.fixture(autouse=True, scope="module")
def prepared():
    """Prepared once, which says so in a line of its own."""
    data.prepare(config.apply(config.default(), {"data.name": "digits"}).data)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--config.seed=-1", "'seed' must be between 0 and"),
        ("--config.sed=1", "did you mean 'seed'"),
        ("--config.seed=one", "'seed' expects int, got 'one'"),
        ("--config.model.stem_stride=-1", "'stem_stride' must be between"),
        ("--config.model.name=inception_smal", "did you mean 'inception_small'"),
        ("--config.data.box_area=5", "expects a list"),
        ("--config.data.box_area=[1]", "expects 2 numbers"),
        ("--config.data.box_area=[2,3]", "'data.box_area' must be between"),
        ("--config.data.box_area=[0.9,0.3]", "'data.box_area' is (lowest, highest)"),
        ("--config.data.box_aspect=[0,0]", "'data.box_aspect' must be between"),
        ("--config.optim.decay_rate=-1", "'optim.decay_rate' must be between 0 and 1"),
        ("--config.model.dtype=float64", "needs JAX_ENABLE_X64=1"),
        ("--config.model.width=1e9", "'width' must be between"),
        ("--config.lr=0.1", "inception_jax/config.py lists the"),
        ("--config.optim.name=adam", "did you mean 'adamw'"),
        ("--config.data.name=digit", "did you mean 'digits'"),
        ("--config.data.batch_size=100000", "lower data.batch_size"),
        ("--config.data.options.foo=1", "there are none"),
        ("--confg.seed=1", "unknown argument"),
    ],
)
def test_train(word, message, tmp_path, capsys):
    small = ["--config.data.image_size=8", "--workdir", str(tmp_path / "w"), word]
    _is_one_line([*TRAIN, *small], message, capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no config file"),
        ("def get_config(:", "line 1"),
        ("1 / 0", "division by zero"),
        ("x = 1", "has no get_config()"),
    ],
)
def test_config_files(content, message, tmp_path, capsys):
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content)
    words = ["train", "--config", str(file), "--workdir", str(tmp_path / "w")]
    _is_one_line(words, message, capsys)


def test_a_config_that_takes_no_argument(tmp_path, capsys):
    words = ["train", "--config", "configs/mnist5k.py:foo", "--workdir", str(tmp_path)]
    _is_one_line(words, "takes no argument", capsys)


def test_a_config_that_is_no_python_file(tmp_path, capsys):
    (tmp_path / "README.md").write_text("# x")
    words = ["train", "--config", str(tmp_path / "README.md"), "--workdir", str(tmp_path)]
    _is_one_line(words, "not a Python file", capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study"], "which study?"),
        (["study", "factorisation"], "did you mean 'factorization'"),
        (["study", "factorization", "--seeds", "0"], "--seeds must be at least 1"),
        (["study", "factorization", "--seeds", "two"], "invalid int value"),
        (["study", "factorization", "--data", "mnist"], "choose one of"),
        (["study", "factorization", "--scale", "huge"], "invalid choice"),
        (["study", "factorization", "--launcher", "locl"], "did you mean 'local'"),
        (["report", "nowhere"], "holds no study"),
        (["data", "prepare"], "which data set?"),
        (["data", "prepare", "mnist5"], "did you mean 'mnist5k'"),
        (["data", "shrink"], "invalid choice"),
        (["data", "list", "digits"], "list takes no name"),
        (["bench", "train", "--rounds", "0"], "--rounds: must be a whole number of at least 1"),
        (["bench", "all", "--rounds", "0"], "--rounds: must be a whole number of at least 1"),
        (["bench", "study", "--seeds", "0"], "--seeds: must be a whole number of at least 1"),
        (["bench", "data", "--image-size", "0"], "--image-size: must be a whole number of at"),
        (["bench", "data", "--seconds", "-1"], "--seconds: must be a number above 0"),
        (["bench", "folder", "--trials", "0"], "--trials: must be a whole number of at least 1"),
        (["cost", "inception_v3,width=1e9"], "'width' must be between"),
    ],
)
def test_other_commands(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _is_one_line(words, message, capsys)


@pytest.mark.slow
def test_a_mistake_can_be_mended_in_the_same_folder(tmp_path, capsys):
    """A run that left nothing does not claim its folder."""
    words = [*TRAIN, "--config.data.image_size=8", "--workdir", str(tmp_path)]
    assert main([*words, "--config.optim.name=adam"]) == 2
    assert main([*words, "--config.train.max_steps=1", "--config.model.width=0.1"]) == 0
    capsys.readouterr()
    assert json.loads((tmp_path / "result.json").read_text())["steps"] == 1
    _is_one_line([*words, "--config.seed=1"], "holds a run of another config", capsys)


def _is_one_line(words, message, capsys):
    try:
        code = main(words)
    except SystemExit as stopped:  # argparse's own
        code = stopped.code
    assert code in (1, 2)
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.strip().count("\n") == 0
    assert captured.out == ""

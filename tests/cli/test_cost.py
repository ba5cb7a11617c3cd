"""`inception-jax cost` as a user runs it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from inception_jax.cli import main


def test_json_has_the_published_totals(capsys):
    assert main(["cost", "inception_v3", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "inception_v3"
    assert row["image_size"] == 299
    assert row["params"] == 23_834_568
    assert row["macs"] == 5_713_216_096
    assert row["depth"] == 48


def test_sites_and_options_after_commas(capsys):
    names = ["inception_small", "inception_small,grid35=stacked_3x3,bn_scale=false"]
    assert main(["cost", *names, "--format", "csv", "--channels", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [r["name"] for r in rows] == names
    assert int(rows[1]["macs"]) < int(rows[0]["macs"])


def test_blocks_end_with_the_total(capsys):
    assert main(["cost", "inception_small", "--blocks"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "total" in out[-2]
    assert max(map(len, out)) <= 100


def test_latex_escapes(capsys):
    assert main(["cost", "inception_small", "--format", "latex"]) == 0
    assert "inception\\_small" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["cost", "inception_v4"], 2, "did you mean 'inception_v3'"),
        (["cost", "inception_v3", "--image-size", "60"], 1, "smallest that works is 75x75"),
        (["cost", "inception_v3", "--image-size", "0"], 2, "at least 1"),
        (["cost", "inception_v3,grid35"], 2, "not KEY=VALUE"),
        (["cost", "--laers"], 2, "unknown argument '--laers'"),
        (["csot"], 2, "did you mean 'cost'"),
    ],
)
def test_mistakes_are_one_line(words, code, message, capsys):
    assert main(words) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow  # compiles a training step
def test_measured_times_are_columns(capsys):
    words = ["cost", "inception_small", "--image-size", "8", "--measure", "--batch-size", "2"]
    assert main([*words, "--format", "json"]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert row["evaluate_ms"] > 0
    assert row["train_ms"] > 0
    assert row["batch_size"] == 2
    assert captured.err.splitlines() == [
        "inception_small: compiling evaluation", "inception_small: compiling training",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--measure", "--layers"], "leave out --layers"),
        (["--batch-size", "4"], "--batch-size is for --measure"),
        (["--measure", "--batch-size", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_measured(words, message, capsys):
    assert main(["cost", "inception_small", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_head_on_a_small_image_says_that_it_adapts(capsys):
    words = ["cost", "inception_v3,aux=Mixed_6e", "--image-size", "128", "--format", "json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["name"] == "inception_v3,aux=Mixed_6e"
    assert captured.err.count("\n") == 1
    assert "adapts to 128 px" in captured.err

"""`inception-jax plan` as a user runs it."""

from __future__ import annotations

import json

import pytest

from inception_jax.cli import main


def test_json_has_both_scales_and_what_they_cost(capsys):
    words = ["plan", "factorization", "--device", "a100", "--format", "json"]
    assert main(words) == 0
    default, paper = json.loads(capsys.readouterr().out)
    assert (default["scale"], paper["scale"]) == ("default", "paper")
    assert default["noise"]["source"].endswith("factorization")
    assert {row["claim"] for row in default["questions"]} == {"A1", "A2", "A6"}
    assert paper["needed"]["device_hours"] > default["needed"]["device_hours"] > 0
    stands = paper["as_it_stands"]
    peak = paper["device"]["peak_flops"] * paper["device"]["share"]
    assert stands["device_hours"] == pytest.approx(2 * stands["macs"] / peak / 3600)


def test_a_search_is_said(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ["plan", "optimizer", "--scale", "default", "--device", "a100"]
    assert main(words) == 0
    assert "search, before" in capsys.readouterr().out
    assert main([*words, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["search"]["trials"] == 20


def test_table_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ["plan", "resolution", "--scale", "default", "--device", "p100", "--effect", "1"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "device-hours" in out
    assert "--seeds" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["factorisation"], 2, "did you mean 'factorization'"),
        (["cost_claims"], 1, "only counts costs"),
        (["factorization", "--effect", "0"], 2, "--effect"),
        (["factorization", "--effect", "nan"], 2, "--effect"),
        (["factorization", "--power", "1"], 2, "--power must be between"),
        (["factorization", "--alpha", "-1"], 2, "--alpha must be between"),
        (["factorization", "--device", "h10"], 2, "did you mean 'h100'"),
        (["factorization", "--results", "nowhere"], 1, "no folder nowhere"),
        (["factorization", "--data", "imagenet"], 2, "not defined on data 'imagenet'"),
        (["factorization", "--data", "digits", "--scale", "paper"], 2, "not defined on data"),
    ],
)
def test_mistakes_are_one_line(words, code, message, capsys):
    assert main(["plan", *words]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_word_that_is_no_number_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["plan", "factorization", "--effect", "big"])
    assert stopped.value.code == 2
    assert "invalid float value" in capsys.readouterr().err

"""`inception-jax evaluate` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inception_jax.cli import main


def test_it_prints_a_row_for_each_kind_of_weights_and_class(runs, capsys):
    folder = runs.make("one", optim__ema_decay=0.9)
    assert main(["evaluate", "--workdir", str(folder), "--per-class"]) == 0
    out = capsys.readouterr().out
    assert "digits test, 497 examples, 1 model(s), 1 crop(s)" in out
    assert len([line for line in out.splitlines() if line.split()[:1] == ["9"]]) == 2
    assert (folder / "evaluations/digits-test-1crops-last.json").is_file()


def test_json_and_saved_predictions(runs, capsys, tmp_path):
    one, two = runs.make("one", optim__ema_decay=0.9), runs.make("two", optim__ema_decay=0.9)
    words = ["evaluate", "--workdir", str(one), "--ensemble", str(two), "--crops", "12"]
    words += ["--save", str(tmp_path / "p.npz"), "--save-top", "3", "--format", "json"]
    assert main([*words, "--per-class"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [member["workdir"] for member in found["members"]] == [str(one), str(two)]
    assert len(found["per_class"]["ema"]) == 10
    for kind in ("raw", "ema"):
        with np.load(tmp_path / f"p-{kind}.npz") as file:
            assert (file["rank"] == 0).mean() == found["results"][kind]["top1"]
            assert file["classes"].shape == (497, 3)


def test_another_data_set_comes_without_the_options_of_the_runs_own(runs, capsys):
    folder = runs.make("one", data__name="controls", data__options__train=200)
    words = ["evaluate", "--workdir", str(folder)]
    assert main([*words, "--data", "digits"]) == 1
    assert "but data set 'digits' has 10" in capsys.readouterr().err
    assert main([*words, "--data", "digits", "--config.data.options.x=1"]) == 2
    assert "option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--workdir", "{root}/none"], 1, "no finished run in"),
        (["--workdir", "{root}"], 1, "no result.json"),
        (["--workdir", "{run}", "--weights", "ema"], 1, "kept no averages"),
        (["--workdir", "{run}", "--checkpoint", "best"], 1, "kept no best checkpoint"),
        (["--workdir", "{run}", "--split", "validation"], 1, "no 'validation' split"),
        (["--workdir", "{run}", "--data", "digit"], 2, "did you mean 'digits'"),
        (["--workdir", "{run}", "--save", "p.txt"], 2, "use .npz or .csv"),
        (["--workdir", "{run}", "--save", "{root}/none/p.csv"], 1, "cannot write"),
        (["--workdir", "{run}", "--save-top", "-1"], 2, "at least 0"),
        (["--workdir", "{run}", "--config.model.width=2"], 2, "only data.* can be set"),
        (["--workdir", "{run}", "--config.data.eval_corp=1"], 2, "did you mean 'data.eval_crop'"),
        (["--workdir", "{run}", "--config.data.blacklist=no"], 1, "cannot read data.blacklist"),
        (["--workdir", "{run}", "--ensemble", "{other}"], 1, "was trained on 3 channels"),
        (["--workdir", "{damaged}"], 1, "is damaged"),
    ],
)
def test_mistakes_are_one_line(runs, capsys, words, code, message):
    run = runs.make("run")
    other = runs.make("other")
    content = json.loads((other / "result.json").read_text())
    content["data"]["channels"] = 3
    (other / "result.json").write_text(json.dumps(content))
    damaged = runs.root / "damaged"
    damaged.mkdir()
    (damaged / "result.json").write_text('{"config": 3}')
    capsys.readouterr()
    places = {"root": runs.root, "run": run, "other": other, "damaged": damaged}
    assert main(["evaluate", *(word.format(**places) for word in words)]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_another_number_of_crops_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--workdir", "x", "--crops", "10"])
    assert "invalid choice: 10" in capsys.readouterr().err

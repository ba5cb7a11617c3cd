"""Arms that train nothing: crops, ensembles and averaged weights of what other arms trained."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from inception_jax import config as configs
from inception_jax import errors, study
from inception_jax.evaluate import run as evaluation
from inception_jax.study import (
    costs,
    images,
    local,
    runner,
    serialization,
    store,
    tables,
    trial,
)
from inception_jax.study.launch import Event

SMOKE = study.load("factorization", "smoke")
ARMS = (
    study.Arm("one", "one model"),
    study.Arm("other", "another", seed_offset=1000),
    study.Arm("crops", "12 crops", {"eval.crops": 12}, members=("one",)),
    study.Arm("averaged", "EMA", {"eval.weights": "ema"}, members=("one",)),
    study.Arm("both", "two models", members=("one", "other")),
)
QUESTION = study.Question("A20", "Two models beat one.", treatment="both", baseline="one")


def described(seeds=2, **changes):
    return dataclasses.replace(
        SMOKE, arms=ARMS, questions=(QUESTION,), costs=(), seeds=seeds, **changes
    )


def test_the_config_is_the_first_members_with_what_is_evaluated():
    found = described()
    config = found.config(found.arm("crops"), 3)
    assert (config.eval.members, config.eval.crops, config.seed) == (("one",), 12, 3)
    assert found.config(found.arm("other"), 3).seed == 1003
    assert configs.to_json(configs.from_json(configs.to_json(config))) == configs.to_json(config)


def test_it_comes_back_from_json_and_its_members_are_its_identity():
    found = described()
    again = serialization.from_dict(json.loads(json.dumps(serialization.to_dict(found))))
    assert again == found
    arms = (*ARMS[:4], study.Arm("both", "two models", members=("one",)))
    assert serialization.identity(dataclasses.replace(found, arms=arms)) != serialization.identity(
        found
    )


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"members": ("nobody",)}, "no trained arm nobody"),
        ({"members": ("both",)}, "no trained arm both"),
        ({"members": ("one",), "overrides": {"model.width": 2}}, "only set eval"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(arm, message):
    with pytest.raises(ValueError, match=message):
        described().__class__(
            **{**vars(described()), "arms": (*ARMS, study.Arm("new", "new", **arm))}
        )


def test_training_refuses_the_keys_of_evaluation():
    config = configs.apply(configs.default(), {"eval.crops": 12})
    with pytest.raises(errors.UserError, match="inception-jax evaluate"):
        configs.resolve(config, 1000)


def result(config):
    text = json.dumps(config, sort_keys=True)
    return {
        "config": config,
        "metrics": {"test_top1": 0.5 + len(text) % 7 / 100},
        "steps": 3,
        "params_sha256": text,
        "seconds": 1.0,
        "versions": {},
        "commit": "c",
    }


class Recording:
    """A launcher that notes the order and leaves stand-ins' results."""

    def __init__(self):
        self.order = []

    def slots(self):
        return 2

    def describe(self):
        return "recording"

    def check(self, job):
        return ""

    def close(self):
        pass

    def launch(self, jobs, report):
        for job in jobs:
            self.order.append(job)
            config = store.read_json(job.folder / "config.json")
            store.write_json(job.folder / "result.json", result(config))
            report(Event(job, "done"))


def test_members_run_before_what_evaluates_them_and_nothing_runs_twice(tmp_path):
    launcher, console = Recording(), Console(file=io.StringIO())

    def count(root, found):
        return None

    for _ in range(2):
        runner.run_study(described(), tmp_path / "s", launcher, console, count=count)
    trained = [job.arm in ("one", "other") for job in launcher.order]
    assert trained == [True] * 4 + [False] * 6
    summary = tables.summarise(tmp_path / "s")
    assert summary.done == 10
    assert not any("identical" in warning for warning in summary.warnings)


def test_crops_and_members_multiply_the_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "_count", lambda config: {"params": 10, "macs": 7})
    costs.count(tmp_path, described())
    found = costs.read(tmp_path)
    assert found["crops"] == costs.ArmCost(10, 12 * 7)
    assert found["both"] == costs.ArmCost(20, 14)


def test_a_trial_evaluates_the_trials_of_its_members(runs):
    found = described(base="mnist5k.py")
    root = runs.root / "s"
    for arm, seed in (("one", 1), ("other", 2)):
        folder = store.trial_folder(root, arm, 0)
        folder.parent.mkdir(parents=True)
        shutil.move(runs.make(arm, seed=seed, optim__ema_decay=0.9), folder)
    members = [store.trial_folder(root, arm, 0) for arm in ("one", "other")]
    for name, folders, protocol in (
        ("crops", members[:1], evaluation.Protocol(12, "raw")),
        ("averaged", members[:1], evaluation.Protocol(1, "ema")),
        ("both", members, evaluation.Protocol(1, "raw")),
    ):
        config = store.arm_configs(found)[name]
        folder, before = store.prepare(root, config, name, 0)
        assert before.state == "missing"
        trial.run(folder)
        done = store.prepare(root, config, name, 0)[1]
        assert done.state == "done"
        wanted = evaluation.evaluate(folders, protocol).predictions[protocol.weights]
        assert done.metrics["test_top1"] == wanted.summary()["top1"]
        assert done.metrics["test_ece"] == wanted.summary()["ece"]
        assert len(done.record["members"]) == len(folders)
        kept = images.read(folder, "test_top1")
        assert kept is not None
        assert kept[1].mean() == done.metrics["test_top1"]
        np.testing.assert_array_equal(kept[0], wanted.label)


def test_a_member_without_a_result_is_one_line(tmp_path, capsys):
    config = store.arm_configs(described())["both"]
    folder, _ = store.prepare(tmp_path, config, "both", 0)
    assert trial.main([str(folder)]) == 1
    error = capsys.readouterr().err
    assert "no finished run in" in error
    assert "trials/one/seed-0" in error


@pytest.mark.slow
def test_two_models_are_trained_and_evaluated_together(tmp_path):
    text = io.StringIO()
    overrides = {**SMOKE.overrides, "optim.ema_decay": 0.9}
    arms = tuple(arm for arm in ARMS if arm.name != "crops")
    small = dataclasses.replace(described(seeds=1, overrides=overrides), arms=arms)
    runner.run_study(small, tmp_path / "s", local.Local(), Console(file=text))
    summary = tables.summarise(tmp_path / "s")
    assert summary.done == 4, text.getvalue()
    rows = {row.arm.name: row for row in summary.arms}
    assert rows["averaged"].mean == rows["one"].ema
    assert rows["one"].mean != rows["other"].mean
    (row,) = summary.images
    assert row is not None
    assert row.seeds == 1

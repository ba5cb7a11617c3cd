"""Whole runs on `digits`, most of them with a stand-in network that compiles quickly."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image
from standin import Network, Outputs

import inception_jax
from inception_jax import config as configs
from inception_jax import errors, train
from inception_jax.evaluate import accuracy
from inception_jax.train import checkpoint, metrics, runner, state

RECIPE = {
    "data.name": "digits", "data.image_size": 8, "data.batch_size": 64,
    "data.eval_batch_size": 100, "data.augment": "shift_flip", "train.epochs": 2.0,
    "train.log_every_steps": 7, "train.checkpoint_every_steps": 10, "optim.ema_decay": 0.99,
    "optim.name": "adamw", "optim.learning_rate": 0.03, "loss.label_smoothing": 0.1,
}  # fmt: skip


def make_config(**overrides):
    return configs.apply(
        configs.default(), RECIPE | {k.replace("__", "."): v for k, v in overrides.items()}
    )


class Killed(BaseException):
    """Stands for a kill."""


def die_at(monkeypatch, step):
    """The data of `step` never arrives."""
    real = runner.data.train_iterator

    class Iterator:
        def __init__(self, *args, **kwargs):
            self._inner = real(*args, **kwargs)

        def __next__(self):
            if self._inner.get_state()["step"] == step - 1:
                raise Killed
            return next(self._inner)

        def __getattr__(self, name):
            return getattr(self._inner, name)

    monkeypatch.setattr(runner.data, "train_iterator", Iterator)


def untimed(path):
    return [
        {k: v for k, v in record.items() if k not in metrics.TIME_FIELDS}
        for record in metrics.read(path / "metrics.jsonl")
    ]


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr(
        runner.models, "from_config", lambda config, classes: Network(dropout=0.2, classes=classes)
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """(workdir, result) of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            runner.models,
            "from_config",
            lambda config, classes: Network(dropout=0.2, classes=classes),
        )
        return workdir, train.run(make_config(), workdir, progress=False)


def test_a_finished_run_has_every_file_and_field(unbroken):
    workdir, result = unbroken
    assert json.loads((workdir / "result.json").read_text()) == result
    assert {
        "config", "metrics", "steps", "params_sha256", "seconds", "versions", "commit", "started",
        "finished", "machine",
    } <= set(result)  # fmt: skip
    assert result["steps"] == 2 * (result["data"]["sizes"]["train"] // 64)
    assert result["versions"]["inception_jax"] == inception_jax.__version__
    assert set(result["versions"]) >= {"jax", "jaxlib", "flax", "optax", "numpy", "python"}
    assert {
        "test_top1", "test_top5", "test_loss", "test_ema_top1", "train_loss", "images_per_second",
    } <= set(result["metrics"])  # fmt: skip
    assert result["metrics"]["images_per_second"] > 0
    assert (workdir / "config.json").is_file()


def test_it_learns(unbroken):
    assert unbroken[1]["metrics"]["test_top1"] > 0.25  # chance is 0.1


def test_predictions_are_those_of_the_reported_accuracy(unbroken):
    workdir, result = unbroken
    with np.load(workdir / "predictions.npz") as found:
        assert len(found["label"]) == result["data"]["sizes"]["test"]
        top1 = (found["label"] == found["prediction"]).mean()
    assert result["metrics"]["test_top1"] == pytest.approx(top1, abs=1e-12)


def test_metrics_have_a_line_a_period(unbroken):
    workdir, result = unbroken
    records = untimed(workdir)
    steps = result["steps"]
    assert [r["step"] for r in records if r["split"] == "train"] == sorted(
        {*range(7, steps + 1, 7), steps}
    )
    assert [r["epoch"] for r in records if r["split"] == "test"] == [1.0, 2.0]
    last = [r for r in records if r["split"] == "test"][-1]
    assert last["top1"] == result["metrics"]["test_top1"]


def test_the_same_seed_gives_the_same_bits(unbroken, tmp_path):
    again = train.run(make_config(), tmp_path / "again", progress=False)
    assert again["params_sha256"] == unbroken[1]["params_sha256"]
    assert untimed(tmp_path / "again") == untimed(unbroken[0])


@pytest.mark.parametrize("step", [4, 17, 35])  # before, between and after checkpoints
def test_a_killed_run_ends_as_an_unbroken_one(unbroken, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        die_at(patch, step)
        with pytest.raises(Killed):
            train.run(make_config(), tmp_path, progress=False)
    assert not (tmp_path / "result.json").exists()
    result = train.run(make_config(), tmp_path, progress=False)
    assert result["params_sha256"] == unbroken[1]["params_sha256"]
    assert untimed(tmp_path) == untimed(unbroken[0])
    same = {"images_per_second"}
    for name, value in unbroken[1]["metrics"].items():
        assert name in same or result["metrics"][name] == value
    one, other = (np.load(folder / "predictions.npz") for folder in (tmp_path, unbroken[0]))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_run_goes_on_past_a_damaged_checkpoint(unbroken, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        die_at(patch, 27)
        with pytest.raises(Killed):
            train.run(make_config(), tmp_path, progress=False)
    for file in (tmp_path / "checkpoints" / "20" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with caplog.at_level(logging.WARNING, "inception_jax.train.checkpoint"):
        result = train.run(make_config(), tmp_path, progress=False)
    assert "checkpoint of step 20 cannot be read" in caplog.text
    assert result["params_sha256"] == unbroken[1]["params_sha256"]


def test_sigterm_saves_and_says_so(unbroken, tmp_path, monkeypatch):
    real = checkpoint.Checkpoints.due

    def due(self, step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "due", due)
        with pytest.raises(errors.Interrupted, match=r"SIGTERM after step 7 of") as caught:
            train.run(make_config(), tmp_path, progress=False)
    assert caught.value.exit_code == 75
    assert (tmp_path / "checkpoints" / "7").is_dir()
    result = train.run(make_config(), tmp_path, progress=False)
    assert result["params_sha256"] == unbroken[1]["params_sha256"]


def test_sigterm_before_the_first_step_takes_effect_after_it(tmp_path, monkeypatch):
    real = runner.data.train_iterator

    def opened(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(runner.data, "train_iterator", opened)
    with pytest.raises(errors.Interrupted, match=r"SIGTERM after step 1 of"):
        train.run(make_config(), tmp_path, progress=False)
    assert (tmp_path / "checkpoints" / "1").is_dir()


@pytest.mark.parametrize("at", [2, 7])  # batches of the first evaluation, and of the last
def test_sigterm_in_an_evaluation_stops_it_and_it_is_made_again(
    unbroken, tmp_path, monkeypatch, at
):
    """Each is of five batches for the parameters and five for their averages."""
    seen = []
    real = accuracy._unmasked

    def unmasked(result):
        seen.append(result)
        if len(seen) == 10 * (at // 5) + 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(result)

    step = (20, 40)[at // 5]
    with monkeypatch.context() as patch:
        patch.setattr(accuracy, "_unmasked", unmasked)
        with pytest.raises(errors.Interrupted, match=rf"SIGTERM after step {step} of 40"):
            train.run(make_config(), tmp_path, progress=False)
    assert len(seen) == 10 * (at // 5) + 2  # no batch more
    assert (tmp_path / "checkpoints" / str(step)).is_dir()
    assert [r["step"] for r in untimed(tmp_path) if r["split"] != "train"] == [20] * (at // 5 * 2)
    with monkeypatch.context() as patch:  # and once more, before anything is scored
        patch.setattr(accuracy, "_unmasked", lambda result: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(errors.Interrupted, match=rf"after step {step} of 40"):
            train.run(make_config(), tmp_path, progress=False)
    result = train.run(make_config(), tmp_path, progress=False)
    assert result["params_sha256"] == unbroken[1]["params_sha256"]
    assert result["metrics"]["train_loss"] == unbroken[1]["metrics"]["train_loss"]
    assert untimed(tmp_path) == untimed(unbroken[0])


def test_a_finished_run_is_not_run_again(unbroken, monkeypatch):
    monkeypatch.setattr(runner.data, "load", None)
    assert train.run(make_config(), unbroken[0], progress=False) == unbroken[1]


def test_how_a_run_is_carried_out_may_change_under_it(unbroken, monkeypatch):
    monkeypatch.setattr(runner.data, "load", None)
    other = make_config(
        data__threads=3, data__dir="elsewhere", parallel__devices=1, train__keep_checkpoints=7,
        train__checkpoint_every_steps=9,
    )  # fmt: skip
    assert train.run(other, unbroken[0], progress=False) == unbroken[1]


@pytest.mark.parametrize("kept", ["result.json", "config.json"])
def test_another_configs_folder_is_refused(unbroken, tmp_path, kept):
    (tmp_path / kept).write_text((unbroken[0] / kept).read_text())
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    with pytest.raises(errors.UserError, match=r"optim.learning_rate \(0.03 there, 0.5 here\)"):
        train.run(make_config(optim__learning_rate=0.5), tmp_path, progress=False)


def test_variables_come_back(unbroken):
    workdir, result = unbroken
    config, model, variables = train.from_workdir(workdir)
    assert configs.to_json(config) == configs.to_json(make_config())
    assert state.digest(variables) == result["params_sha256"]
    outputs = model.apply(variables, np.zeros((1, 8, 8, 1), np.float32), train=False)
    assert outputs.logits.shape == (1, 10)
    averages = train.from_workdir(workdir, ema=True)[2]
    assert jax.tree.structure(averages) == jax.tree.structure(variables)
    assert state.digest(averages) != result["params_sha256"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no .*variables.msgpack"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x00"), "is damaged"),
    ],
)
def test_damaged_variables_are_noticed(unbroken, tmp_path, damage, message):
    for name in ("result.json", "variables.msgpack"):
        (tmp_path / name).write_bytes((unbroken[0] / name).read_bytes())
    damage(tmp_path / "variables.msgpack")
    with pytest.raises(errors.UserError, match=message):
        train.from_workdir(tmp_path)


def test_an_unfinished_folder_has_no_variables(tmp_path):
    with pytest.raises(errors.UserError, match="no finished run"):
        train.from_workdir(tmp_path)


def test_a_diverging_run_stops_without_a_result(tmp_path):
    wild = make_config(optim__name="sgd", optim__learning_rate=1e30, optim__warmup_epochs=0.0)
    with pytest.raises(errors.NonFiniteLoss) as caught:
        train.run(wild, tmp_path, progress=False)
    message = r"loss became \w+ at step \d+, first in the output of \w+ as .*checkpoint: none; .*"
    assert re.fullmatch(message, str(caught.value))
    assert not (tmp_path / "result.json").exists()


@jax.custom_vjp
def _overflows_backwards(x):
    return x


_overflows_backwards.defvjp(lambda x: (x, None), lambda _, g: (g * jnp.inf,))


class Overflowing(nn.Module):
    """Its loss is finite, and so is the gradient of its last layer alone."""

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Dense(3, name="early")(images.reshape(len(images), -1))
        return Outputs(nn.Dense(10, name="late")(_overflows_backwards(x)), ())


def test_a_gradient_that_is_not_finite_names_its_step_and_layer(tmp_path, monkeypatch):
    monkeypatch.setattr(runner.models, "from_config", lambda config, classes: Overflowing())
    message = r"gradient is not finite at step 1, first in that of early as .*\(2 of 4 parameters"
    with pytest.raises(errors.NonFiniteLoss, match=message):
        train.run(make_config(), tmp_path, progress=False)


def test_a_data_file_that_vanishes_is_one_line_and_the_run_goes_on_once_it_is_back(
    tmp_path, monkeypatch
):
    for number in range(40):
        split, kind = "train" if number < 32 else "test", f"class{number % 2}"
        file = tmp_path / "data" / split / kind / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (6 * number,) * 3).save(file)
    gone = tmp_path / "data" / "train" / "class0" / "6.png"
    content = gone.read_bytes()
    config = make_config(
        data__name="folder", data__options__path=str(tmp_path / "data"), data__batch_size=8,
        data__eval_batch_size=8, train__checkpoint_every_steps=2, train__epochs=6.0,
    )  # fmt: skip
    unbroken = train.run(config, tmp_path / "unbroken", progress=False)
    real = checkpoint.Checkpoints.due

    def due(self, step):
        if step == 5:
            gone.unlink()
        return real(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "due", due)
        with pytest.raises(errors.UserError, match=r"6\.png: No such file.*still there"):
            train.run(config, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run" / "checkpoints").glob("*tmp*"))
    gone.write_bytes(content)
    result = train.run(config, tmp_path / "run", progress=False)
    assert result["params_sha256"] == unbroken["params_sha256"]


def test_a_diverging_run_can_be_a_result(tmp_path):
    sgd = {"optim__name": "sgd", "optim__warmup_epochs": 0.0, "train__record_divergence": True}
    wild = make_config(**sgd, optim__learning_rate=1e30)
    found = train.run(wild, tmp_path / "wild", progress=False)
    assert found["metrics"] == {"diverged": 1.0}
    assert 0 < found["steps"] <= 10
    assert json.loads((tmp_path / "wild" / "result.json").read_text()) == found
    calm = train.run(make_config(**sgd), tmp_path / "calm", progress=False)
    assert calm["metrics"]["diverged"] == 0


def test_a_short_run_writes_no_checkpoint(tmp_path):
    short = make_config(train__checkpoint_every_steps=0, train__max_steps=3)
    result = train.run(short, tmp_path, progress=False)
    assert result["steps"] == 3
    assert not (tmp_path / "checkpoints").exists()


def test_a_validation_split_is_reported_too(tmp_path):
    split = make_config(data__validation_fraction=0.1, train__max_steps=3, optim__ema_decay=0.0)
    scores = train.run(split, tmp_path, progress=False)["metrics"]
    assert {"validation_top1", "validation_loss", "test_top1"} <= set(scores)
    assert not [name for name in scores if "ema" in name]


def test_too_many_devices_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=r"parallel.devices is 64, but JAX sees"):
        train.run(make_config(parallel__devices=64), tmp_path, progress=False)


def test_batches_that_the_devices_cannot_share_are_refused(tmp_path):
    with pytest.raises(errors.UserError, match=r"data.batch_size 63 is not divisible by 2"):
        train.run(make_config(data__batch_size=63), tmp_path, progress=False)


def test_evaluation_is_filled_up_to_the_devices(unbroken, tmp_path):
    odd = train.run(make_config(data__eval_batch_size=33), tmp_path, progress=False)
    for name in ("test_top1", "test_ema_top5", "test_loss"):
        assert odd["metrics"][name] == pytest.approx(unbroken[1]["metrics"][name], rel=1e-6)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UserError, match="cannot use"):
        train.run(make_config(), tmp_path / "file" / "run", progress=False)


def test_importing_train_loads_no_jax():
    code = "import sys, inception_jax.train; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

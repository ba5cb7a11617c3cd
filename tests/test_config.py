"""Overrides, derived values, JSON."""

from __future__ import annotations

import pytest

from inception_jax import config, errors


def test_text_is_read_as_the_type_of_the_default():
    changed = config.apply(
        config.default(),
        {
            "optim.learning_rate": "1e-2", "seed": "3", "model.bn_scale": "false",
            "model.aux.sites": '["Mixed_6b"]', "data.options.fold": "2",
        },
    )  # fmt: skip
    assert changed.optim.learning_rate == 0.01
    assert changed.seed == 3
    assert changed.model.bn_scale is False
    assert changed.model.aux.sites == ("Mixed_6b",)
    assert changed.data.options.fold == 2


def test_apply_leaves_the_original_alone():
    base = config.default()
    config.apply(base, {"seed": 9, "data.options.fold": 1})
    assert base.seed == 0
    assert "fold" not in base.data.options


def test_unknown_key_names_the_nearest():
    with pytest.raises(errors.UsageError, match=r"did you mean 'optim.learning_rate'"):
        config.apply(config.default(), {"optim.learning_rte": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "x"), ("seed", "1.5"), ("model.bn_scale", "maybe"), ("optim.learning_rate", "nan")],
)
def test_wrong_type_says_what_was_expected(key, value):
    with pytest.raises(errors.UsageError, match="expects"):
        config.apply(config.default(), {key: value})


def test_json_round_trip():
    changed = config.apply(config.default(), {"seed": 4, "data.options.color": "rgb"})
    resolved = config.resolve(changed, train_examples=4000)
    assert config.from_json(config.to_json(resolved)) == changed


def test_resolve_computes_after_overrides():
    changed = config.apply(config.default(), {"data.batch_size": 100, "train.epochs": 2})
    derived = config.resolve(changed, train_examples=4050).derived
    assert (derived.steps_per_epoch, derived.steps, derived.eval_every) == (40, 80, 40)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data.batch_size": 5000}, "lower data.batch_size"),
        ({"optim.learning_rate": -1.0}, "must be between 0 and inf"),
        ({"train.accumulate": 3}, "not divisible"),
    ],
)
def test_resolve_refuses(overrides, message):
    with pytest.raises(errors.UserError, match=message):
        config.resolve(config.apply(config.default(), overrides), train_examples=4000)


def test_config_files_load():
    for path in sorted(config.folder("configs").glob("*.py")):
        loaded = config.load_file(str(path))
        assert set(config.keys(loaded)) >= set(config.keys(config.default()))


def test_missing_config_file_lists_the_known_ones():
    with pytest.raises(errors.UsageError, match=r"configs/mnist5k\.py"):
        config.load_file("configs/nope.py")

"""The configs of the paper: every value that the paper prints, and what one row changes."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from inception_jax import config as config_lib
from inception_jax import cost, errors, models

LADDER = [
    "inception_v2", "inception_v2_rmsprop", "inception_v2_label_smoothing",
    "inception_v2_factorized_7x7", "inception_v3",
]  # fmt: skip
ROWS = ["googlenet", "bn_googlenet", "bn_inception", *LADDER]


def load(text: str):
    return config_lib.load_file(f"configs/{text}")


def test_the_recipe_as_printed():
    config = load("imagenet.py")
    optim = config.optim
    assert (optim.name, optim.rms_decay, optim.epsilon) == ("rmsprop", 0.9, 1.0)
    assert (optim.learning_rate, optim.decay_rate, optim.decay_epochs) == (0.045, 0.94, 2.0)
    assert (optim.schedule, optim.warmup_epochs, optim.clip_norm) == ("exponential", 0.0, 2.0)
    assert (config.loss.label_smoothing, config.train.epochs) == (0.1, 100.0)
    assert config.data.batch_size == 50 * config.model.bn_group == 50 * 32
    assert config_lib.resolve(config, 1_281_167).derived.steps == 80_000


def test_the_authors_code_fills_in_what_the_paper_leaves_out():
    """research/inception of tensorflow/models, the values of which stand in the docstring."""
    config = load("imagenet.py")
    model, data = config.model, config.data
    assert (config.optim.momentum, config.optim.weight_decay) == (0.9, 4e-5)
    assert (config.optim.ema_decay, config.loss.aux_weight) == (0.9999, 0.4)
    assert (model.bn_decay, model.bn_epsilon, model.bn_scale) == (0.9997, 1e-3, False)
    assert (model.init, model.dropout, tuple(model.aux.sites)) == ("normal", 0.2, ("Mixed_6e",))
    assert (model.init_sd, model.head_sd) == (0.1, 0.01)
    assert (model.aux.conv_sd, model.aux.classifier_sd) == (0.01, 0.001)
    assert (config.optim.rms_initial, config.optim.epsilon_in_root) == (1.0, True)
    assert (config.optim.staircase, config.optim.ema_warmup) == (True, True)
    assert config.optim.ema_batch_stats
    assert (data.augment, data.eval_crop, data.interpolation) == ("inception", 0.875, "four")
    assert (data.box_area, data.box_aspect, data.box_covered) == ((0.05, 1.0), (0.75, 1.33), 0.1)
    assert (data.colour, data.mirror) == ("trainer", True)


@pytest.mark.parametrize("row", ["googlenet", "bn_googlenet"])
def test_googlenet_s_two_heads_are_its_paper_s(row):
    config = load(f"table3.py:{row}")
    assert tuple(config.model.aux.sites) == ("Inception_4a", "Inception_4d")
    assert (config.loss.aux_weight, config.model.aux.dropout, config.model.dropout) == (
        0.3, 0.7, 0.4,
    )  # fmt: skip


@pytest.mark.slow
def test_every_layer_of_the_papers_network_starts_with_its_own_deviation():
    """Those of research/inception; a normal cut at two deviations has 0.88 of them."""
    config = config_lib.apply(load("imagenet.py"), {"model.width": 0.125})
    model = models.from_config(config.model, 1000)
    params = model.init(jax.random.key(0), jnp.zeros((1, 75, 75, 3)))["params"]
    wanted = {
        ("Logits",): 0.01, ("AuxLogits_Mixed_6e", "fc"): 0.001,
        ("AuxLogits_Mixed_6e", "conv1"): 0.01, ("AuxLogits_Mixed_6e", "conv0"): 0.1,
        ("Conv2d_4a_3x3",): 0.1, ("Mixed_7c", "branch1_conv0"): 0.1,
    }  # fmt: skip
    for path, sd in wanted.items():
        layer: Any = params
        for name in path:
            layer = layer[name]
        assert float(layer["kernel"].std()) == pytest.approx(0.8796 * sd, rel=0.1)
        assert float(abs(layer["kernel"]).max()) <= 2 * sd


@pytest.mark.parametrize("file", sorted(p.name for p in config_lib.folder("configs").glob("*.py")))
def test_every_config_says_its_command_its_cost_and_its_hours(file):
    text = config_lib.load_module(config_lib.folder("configs") / file).__doc__
    assert re.search(
        rf"inception-jax train --config configs/{file}\S* --workdir runs/\w+$", text, re.M
    )
    assert re.search(r"\d device-hours", text.replace("\n", " "))
    printed = re.search(r"([\d.]+) ([GM])MAC an image", text.replace("\n", " "))
    config = load(file)
    channels = 1 if config.data.name == "mnist5k" else 3
    classes = {"imagenet2012": 1000}.get(config.data.name, 10)
    config.model.aux.sites = ()  # what an image costs is said without it
    counted = cost.count(
        models.from_config(config.model, classes), config.data.image_size, channels
    ).macs
    assert printed is not None
    found = counted / {"G": 1e9, "M": 1e6}[printed[2]]
    last_digit = 10 ** -len(printed[1].partition(".")[2])
    assert found == pytest.approx(float(printed[1]), abs=0.5 * last_digit)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_network_that_builds(row):
    config = load(f"table3.py:{row}")
    assert config_lib.from_json(config_lib.to_json(config)) == config
    model = models.from_config(config.model, 1000)
    size = config.data.image_size
    assert size == model.network.image_size
    image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    outputs, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    assert len(outputs.aux) == len(config.model.aux.sites)


def test_each_step_of_the_ladder_is_one_change():
    flat = [config_lib.keys(load(f"table3.py:{row}")) for row in LADDER]
    changes = [
        {key: new[key] for key in new if new[key] != old[key]}
        for old, new in itertools.pairwise(flat)
    ]
    assert changes == [
        {"optim.name": "rmsprop"},
        {"loss.label_smoothing": 0.1},
        {"model.name": "inception_v3_paper"},
        {"model.aux.dense_batch_norm": True},
    ]


def test_bn_auxiliary_is_the_layer_over_the_whole_grid():
    for row, layers in (("inception_v2", ["conv0"]), ("inception_v3", ["conv0", "conv1"])):
        model = models.from_config(load(f"table3.py:{row}").model, 10)
        image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), image)
        assert list(variables["batch_stats"]["AuxLogits_Mixed_6e"]) == layers


def test_last_row_is_the_default_and_a_wrong_one_names_the_nearest():
    assert load("table3.py") == load("table3.py:inception_v3")
    with pytest.raises(errors.UsageError, match="did you mean 'inception_v2_rmsprop'"):
        load("table3.py:inception_v2_rmsprob")

"""Crops and ensembles of a linear network, recomputed in float64."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax

from inception_jax import data, errors
from inception_jax.data import views
from inception_jax.evaluate import members, run
from inception_jax.evaluate.run import Protocol


def by_hand(member, kernel, crops):
    """Mean of softmax over all 144 (12, 1) views, one image at a time, for the first images."""
    config = member.config
    source, how = data.load(config.data).source("test"), views.rule(config.data)
    rows = []
    for index in range(70):
        image = source[index]["image"]
        seen = views.single(image, how)[None] if crops == 1 else views.crops(image, how, crops)
        assert len(seen) == crops
        logits = (seen.reshape(len(seen), -1) / 127.5 - 1) @ kernel
        rows.append(softmax(logits, axis=1).mean(axis=0))
    return np.stack(rows)


@pytest.mark.parametrize("crops", [1, 12, 144])
def test_probabilities_are_averaged_over_the_crops(runs, crops):
    folder = runs.make("one")
    found = run.evaluate([folder], Protocol(crops))
    member = members.open_member(folder)
    wanted = by_hand(member, runs.kernel(folder), crops)
    predictions = found.predictions["raw"]
    assert len(predictions) == found.record["examples"] == 497
    np.testing.assert_allclose(predictions.probability[:70], wanted, rtol=2e-4, atol=1e-6)


def test_members_of_other_sizes_are_averaged(runs):
    one, two = runs.make("one", seed=1), runs.make("two", seed=2, data__image_size=6)
    found = run.evaluate([one, two], Protocol(12))
    parts = [by_hand(members.open_member(folder), runs.kernel(folder), 12) for folder in (one, two)]
    probability = found.predictions["raw"].probability[:70]
    np.testing.assert_allclose(probability, np.mean(parts, axis=0), rtol=2e-4, atol=1e-6)
    alone = run.evaluate([two], Protocol(12))
    assert found.members[1] == {"raw": alone.predictions["raw"].summary()}


def test_raw_and_averaged_weights_are_both_there(runs):
    folder = runs.make("one", optim__ema_decay=0.9)
    found = run.evaluate([folder], Protocol())
    assert set(found.predictions) == {"raw", "ema"}
    wanted = by_hand(members.open_member(folder), runs.kernel(folder, ema=True), 1)
    np.testing.assert_allclose(
        found.predictions["ema"].probability[:70], wanted, rtol=2e-4, atol=1e-6
    )
    assert set(run.evaluate([folder], Protocol(weights="ema")).predictions) == {"ema"}


def test_an_ensemble_has_averages_only_where_all_members_do(runs):
    both, raw = runs.make("both", optim__ema_decay=0.9), runs.make("raw")
    assert set(run.evaluate([both, raw], Protocol()).predictions) == {"raw"}
    with pytest.raises(errors.UserError, match="kept no averages"):
        run.evaluate([both, raw], Protocol(weights="ema"))


def test_the_batch_size_changes_nothing(runs):
    one = runs.make("one", data__eval_batch_size=7)
    other = runs.make("other", data__eval_batch_size=497)
    first, second = (run.evaluate([folder], Protocol()) for folder in (one, other))
    np.testing.assert_allclose(
        first.predictions["raw"].probability, second.predictions["raw"].probability, rtol=1e-5
    )


def test_the_record_is_written_whole_under_its_protocol(runs):
    folder = runs.make("one")
    for protocol in (Protocol(), Protocol(12), Protocol(split="train")):
        found = run.evaluate([folder], protocol)
        path = run.write(found, folder)
        assert json.loads(path.read_text()) == found.record
    assert len(list((folder / "evaluations").iterdir())) == 3
    record = found.record
    assert record["results"]["raw"]["examples"] == record["examples"]
    assert record["split"] == "train"
    assert {"versions", "commit", "finished", "calibration_bins"} <= set(record)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"crops": 10}, "number of crops '10'"),
        ({"weights": "emma"}, "did you mean 'ema'"),
        ({"checkpoint": "newest"}, "unknown checkpoint"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"overrides": {"model.width": 2}}, "only data"),
    ],
)
def test_a_protocol_that_does_not_exist_is_wrong_usage(protocol, message):
    with pytest.raises(errors.UsageError, match=message):
        Protocol(**protocol)

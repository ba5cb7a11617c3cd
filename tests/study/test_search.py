"""The search before a study, with stand-in trials."""

from __future__ import annotations

import dataclasses
import json

import pytest

from inception_jax import errors, study
from inception_jax.study import definition, search, serialization, store, tables

SEARCH = definition.Search("optim.learning_rate", (0.1, 0.2, 0.3), seeds=2)
BASE = study.load("factorization", "smoke")
STUDY = dataclasses.replace(BASE, arms=BASE.arms[:2], questions=BASE.questions[1:2], search=SEARCH)


def finish(root, scores):
    """Writes the search's trials: `scores` is arm -> the validation accuracy of each value."""
    folder = root / search.FOLDER
    phase = store.register(folder, search.phase(STUDY))
    for arm, config in store.arm_configs(phase).items():
        name, index = arm.split(".")
        for seed in range(phase.seeds):
            path, _ = store.prepare(folder, config, arm, seed)
            top1 = scores[name][int(index)]
            metrics = {"diverged": 1.0} if top1 is None else {"validation_top1": top1 + seed / 10}
            record = {
                "config": store.read_json(path / "config.json"), "metrics": metrics, "steps": 1,
                "params_sha256": "", "seconds": 1, "versions": {}, "commit": None,
            }  # fmt: skip
            store.write_json(path / "result.json", record)


def test_every_arm_has_the_same_tries():
    phase = search.phase(STUDY)
    rates = {arm.name: phase.config(arm, 0).optim.learning_rate for arm in phase.arms}
    assert rates == {
        f"{arm}.{i}": rate
        for arm in ("direct", "stacked_3x3")
        for i, rate in enumerate((0.1, 0.2, 0.3))
    }
    assert phase.seeds == 2
    assert phase.metric == "validation_top1"


def test_the_best_mean_is_chosen_and_the_test_split_not_read(tmp_path):
    finish(tmp_path, {"direct": (0.5, 0.7, 0.6), "stacked_3x3": (0.4, None, 0.3)})
    choice = search.choose(tmp_path, STUDY)
    assert {arm: entry["value"] for arm, entry in choice.items()} == {
        "direct": 0.2,
        "stacked_3x3": 0.1,
    }
    assert choice["stacked_3x3"]["scores"] == [pytest.approx(0.45), None, pytest.approx(0.35)]
    assert search.read(tmp_path) == choice
    tuned = search.apply(STUDY, choice)
    assert [tuned.config(arm, 0).optim.learning_rate for arm in tuned.arms] == [0.2, 0.1]


def test_trials_that_start_together_compile_different_programs():
    names = [arm.name.rpartition(".")[0] for arm in search.phase(STUDY).arms]
    count = len(STUDY.arms)
    assert set(names[:count]) == {arm.name for arm in STUDY.arms}
    assert names[:count] * (len(names) // count) == names


def test_the_report_tells_the_choice_and_where_it_is_at_an_end(tmp_path):
    store.register(tmp_path, STUDY)
    finish(tmp_path, {"direct": (0.5, 0.7, 0.6), "stacked_3x3": (0.4, None, 0.3)})
    search.choose(tmp_path, STUDY)
    summary = tables.summarise(tmp_path)
    (fact,) = [text for name, text in summary.facts if name == "search of optim.learning_rate"]
    chosen = "5×5 0.2 (55.0, 75.0, 65.0); "
    assert fact.startswith(f"of 0.1, 0.2, 0.3 by validation_top1, 2 seeds each: {chosen}")
    (warning,) = [text for text in summary.warnings if "lowest or highest" in text]
    assert "3×3 + 3×3" in warning
    assert "5×5," not in warning


def test_an_arm_that_always_diverges_is_an_error(tmp_path):
    finish(tmp_path, {"direct": (None, None, None), "stacked_3x3": (0.1, 0.2, 0.3)})
    with pytest.raises(errors.UserError, match="every try of arm 'direct'"):
        search.choose(tmp_path, STUDY)


def test_an_unfinished_search_is_an_error(tmp_path):
    with pytest.raises(errors.UserError, match="12 trials of the search have no result"):
        search.choose(tmp_path, STUDY)


def test_the_test_split_cannot_decide():
    with pytest.raises(ValueError, match="validation split"):
        definition.Search("optim.learning_rate", (0.1,), metric="test_top1")


def test_a_study_with_a_search_comes_back_from_json():
    assert serialization.from_dict(json.loads(json.dumps(serialization.to_dict(STUDY)))) == STUDY


def test_a_study_runs_its_search_once_and_then_itself(bench):
    bench.study = dataclasses.replace(STUDY, search=dataclasses.replace(SEARCH, seeds=1))
    bench.run()
    first = search.read(bench.root)
    assert first is not None
    configs = [
        store.read_json(store.trial_folder(bench.root, arm, 0) / "config.json") for arm in first
    ]
    assert [config["optim"]["learning_rate"] for config in configs] == [
        entry["value"] for entry in first.values()
    ]
    assert "search of optim.learning_rate on the validation split" in bench.text.getvalue()
    bench.run()
    assert bench.text.getvalue().count("search of optim.learning_rate on the") == 1

"""The study's folder: what is believed, what is set aside."""

from __future__ import annotations

import json

import pytest

from inception_jax import errors, study
from inception_jax.study import store, tables

SMOKE = study.load("factorization", "smoke")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs"
    store.register(folder, SMOKE)
    return folder


@pytest.fixture(scope="module")
def config():
    return store.arm_configs(SMOKE)["direct"]


def finish(folder, config, **changes):
    record = {
        "config": config,
        "metrics": {"test_top1": 0.5},
        "steps": 3,
        "params_sha256": "0",
        "seconds": 1.0,
        "versions": {},
        "commit": "c",
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(record))


def state(root, config):
    folder, trial = store.prepare(root, config, "direct", 0)
    return folder, trial.state


def test_a_finished_trial_is_done(root, config):
    folder, before = state(root, config)
    assert before == "missing"
    finish(folder, {**config, "derived": {"steps": 3}})
    assert state(root, config)[1] == "done"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"text"', '{"metrics": {}}', "[" * 100_000, '{"config": 1}'],
    ids=["empty", "cut", "list", "null", "text", "lacks", "deep", "types"],
)
def test_what_is_no_result_is_set_aside_and_run_again(root, config, text):
    folder, _ = state(root, config)
    (folder / "result.json").write_text(text)
    (folder / "checkpoint").write_text("kept")
    assert state(root, config)[1] == "broken"
    assert state(root, config)[1] == "missing"
    assert (folder / ".result.json.aside-1").read_text() == text
    assert (folder / "checkpoint").exists()


def test_a_result_that_is_not_finite_is_broken(root, config):
    folder, _ = state(root, config)
    finish(folder, config, metrics={"test_top1": float("nan")})
    assert state(root, config)[1] == "broken"


def test_a_result_of_another_config_is_foreign_with_its_whole_folder(root, config):
    folder, _ = state(root, config)
    other = {**config, "optim": {**config["optim"], "learning_rate": 7.0}}
    finish(folder, other)
    (folder / "checkpoint").write_text("foreign")
    assert state(root, config)[1] == "foreign"
    assert not (folder / "checkpoint").exists()
    assert (folder.with_name(".seed-0.aside-1") / "checkpoint").exists()
    assert state(root, config)[1] == "missing"


def test_a_place_may_differ(root, config):
    folder, _ = state(root, config)
    finish(folder, {**config, "data": {**config["data"], "dir": "/elsewhere", "threads": 7}})
    assert state(root, config)[1] == "done"


def test_a_key_that_came_later_has_its_default(root, config):
    folder, _ = state(root, config)
    older = {**config, "data": {k: v for k, v in config["data"].items() if k != "eval_resize"}}
    store.write_json(folder / "config.json", older)
    finish(folder, older)
    assert state(root, config)[1] == "done"
    other = {**config, "data": {**config["data"], "eval_resize": "short_side"}}
    assert state(root, other)[1] == "foreign"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (study.load("factorization"), "scale 'smoke', not 'default'"),
        (study.load("resolution", "smoke"), "study 'factorization', not 'resolution'"),
        (study.load("factorization", "smoke", "mnist5k"), "data 'digits', not 'mnist5k'"),
    ],
)
def test_another_study_in_the_folder_is_one_clear_line(root, other, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        store.register(root, other)
    assert "\n" not in str(caught.value)
    assert "--workdir" in str(caught.value)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(errors.UserError, match="holds no study"):
        store.register(tmp_path, SMOKE)
    with pytest.raises(errors.UserError, match="holds no study"):
        store.read_study(tmp_path)


def test_an_edited_study_file_is_one_clear_line(root):
    (root / "study.json").write_text('{"arms": 3}')
    with pytest.raises(errors.UserError, match="not a study's description"):
        store.read_study(root)


def test_no_finished_seed_is_ever_left_out(root, config):
    finish(store.trial_folder(root, "direct", 6), {**config, "seed": 6})
    assert store.register(root, SMOKE.with_seeds(3)).seeds == 7


def test_the_number_of_seeds_planned_before_the_first_result_stays(root, config):
    assert store.register(root, SMOKE.with_seeds(4)).planned_seeds == 4
    assert store.register(root, SMOKE.with_seeds(2)).planned_seeds == 2  # nothing was seen yet
    finish(store.trial_folder(root, "direct", 0), {**config, "seed": 0})
    extended = store.register(root, SMOKE.with_seeds(9))
    assert (extended.seeds, extended.planned_seeds) == (9, 2)
    assert any("Extended from 2 to 9 seeds" in text for text in tables.summarise(root).warnings)


def test_curves_skip_what_cannot_be_read_and_keep_the_last_of_a_step(tmp_path):
    lines = [
        '{"step": 1, "split": "test", "top1": 0.1}',
        '{"step": 2, "split": "test", "top1": NaN}',
        "{half",
        '{"step": 1, "split": "train", "top1": 0.9}',
        '{"step": 1, "split": "test", "top1": 0.2}',
        '{"step": "x", "split": "test", "top1": 0.2}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert store.read_curve(tmp_path, "test", "top1") == [(1, 0.2)]

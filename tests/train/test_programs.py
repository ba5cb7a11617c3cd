import logging
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from inception_jax import config as configs
from inception_jax import models
from inception_jax.models import factorization
from inception_jax.train import mesh as meshes
from inception_jax.train import programs


@pytest.fixture
def cached(tmp_path):
    """JAX's cache in a folder of its own, which takes every program."""
    changed = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {key: jax.config.values[key] for key in changed}
    for values in (changed, before):
        for key, value in values.items():
            jax.config.update(key, value)
        compilation_cache.reset_cache()
        if values is changed:
            yield tmp_path / programs.FOLDER


class Traced:
    """A step that counts how often it is traced."""

    def __init__(self):
        self.times = 0

    def __call__(self, state, batch, rate):
        self.times += 1
        moved = jax.tree.map(lambda leaf: leaf + rate * batch["x"].mean(), state)
        return moved, {"sum": batch["x"].sum(), "b": moved["b"].sum()}


def config(**overrides):
    return configs.apply(configs.default(), {"data.batch_size": 8} | overrides)


def run(step, cfg, name="train"):
    """Two steps of a fresh look-up: the state and the metrics after them."""
    mesh = meshes.create(cfg)
    function = programs.kept(jax.jit(step), name, cfg, mesh, donate=True)
    state = {"a": jnp.arange(3.0), "b": jnp.ones((2, 2))}
    state = jax.device_put(state, meshes.replicated(mesh))
    batch = meshes.put({"x": np.linspace(0, 1, 8, dtype=np.float32)}, mesh)
    state, _ = function(state, batch, np.float32(0.5))
    state, metrics = function(state, batch, np.float32(0.25))
    return jax.device_get(state), jax.device_get(metrics)


def test_a_program_that_is_kept_is_not_traced_again_and_gives_the_same_bits(cached):
    step, again = Traced(), Traced()
    first, second = run(step, config()), run(again, config())
    assert (step.times, again.times) == (1, 0)
    assert len(list(cached.iterdir())) == 1
    expected = 0.75 * np.linspace(0, 1, 8, dtype=np.float32).mean()
    np.testing.assert_allclose(first[0]["a"], np.arange(3) + expected, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("changed", [{"seed": 3}, {"optim.learning_rate": 0.7}])
def test_what_is_an_argument_of_the_program_shares_it(cached, changed):
    run(Traced(), config())
    again = Traced()
    run(again, config(**changed))
    assert again.times == 0


@pytest.mark.parametrize(
    "changed", [{"model.width": 0.25}, {"loss.label_smoothing": 0.2}, {"optim.momentum": 0.5}]
)
def test_another_config_is_another_program(cached, changed):
    run(Traced(), config())
    again = Traced()
    run(again, config(**changed))
    assert again.times == 1


def test_other_sources_names_flags_or_settings_are_another_program(cached, monkeypatch):
    run(Traced(), config())
    for change in (
        lambda: monkeypatch.setattr(programs, "_sources", lambda: "edited"),
        lambda: monkeypatch.setenv("NPROC", "7"),
        lambda: monkeypatch.setattr(programs.result, "versions", lambda: {"jax": "9"}),
    ):
        change()
        again = Traced()
        run(again, config())
        assert again.times == 1
    before = jax.config.values["jax_default_matmul_precision"]
    jax.config.update("jax_default_matmul_precision", "highest")
    again = Traced()
    run(again, config())
    jax.config.update("jax_default_matmul_precision", before)
    assert again.times == 1


def test_the_digest_follows_every_source_file(tmp_path, monkeypatch):
    (tmp_path / "ops").mkdir()
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "ops" / "conv.py").write_text("a = 1\n")
    monkeypatch.setattr(programs.inception_jax, "__file__", str(tmp_path / "__init__.py"))
    found = []
    for text in ("a = 1\n", "a = 2\n"):
        (tmp_path / "ops" / "conv.py").write_text(text)
        found.append(programs._sources.__wrapped__())
    assert found[0] != found[1]


@pytest.mark.parametrize("damage", [b"", b"nonsense", "half"])
def test_a_damaged_program_is_compiled_again_and_mended(cached, damage, caplog):
    first = run(Traced(), config())
    (path,) = cached.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "half" else damage)
    compilation_cache.reset_cache()
    for entry in cached.parent.iterdir():
        if entry.is_file():
            entry.unlink()
    again, third = Traced(), Traced()
    with caplog.at_level(logging.DEBUG):
        jax.tree.map(np.testing.assert_array_equal, run(again, config()), first)
    assert "cannot use" in caplog.text
    run(third, config())
    assert (again.times, third.times) == (1, 0)


def test_a_program_out_of_jax_s_cache_is_run_but_not_kept(cached):
    """XLA writes it without its functions: the next process would fail at its first step."""
    first = run(Traced(), config())
    (path,) = cached.iterdir()
    path.unlink()
    jax.clear_caches()
    again = Traced()
    jax.tree.map(np.testing.assert_array_equal, run(again, config()), first)
    assert (again.times, list(cached.iterdir())) == (1, [])


def test_a_folder_that_cannot_be_written_costs_only_the_time(cached):
    cached.parent.mkdir(exist_ok=True)
    cached.write_text("a file where the folder should be")
    step = Traced()
    run(step, config())
    assert step.times == 1


def test_nothing_is_kept_where_sources_are_not_known_or_the_cache_is_off(cached, monkeypatch):
    step = Traced()
    monkeypatch.setitem(factorization.STRATEGIES, "mine", lambda n: ((n, n),))
    run(step, config())
    monkeypatch.undo()
    jax.config.update("jax_enable_compilation_cache", False)
    run(step, config())
    jax.config.update("jax_enable_compilation_cache", True)
    assert not cached.exists()
    assert "mine" not in models.strategies()


@pytest.mark.slow
def test_a_second_process_trains_from_the_program_of_the_first(tmp_path):
    command = [
        *(sys.executable, "-m", "inception_jax", "train", "--config", "configs/mnist5k.py"),
        *("--config.model.width=0.125", "--config.train.max_steps=3", "--workdir"),
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "NPROC": "1"}
    for name in "ab":
        subprocess.run([*command, str(tmp_path / name)], env=environment, check=True, timeout=300)
    kept = list(tmp_path.glob("inception_jax/compiled/*/whole/*"))
    assert len(kept) == 2  # training and evaluation
    for name in ("variables.msgpack", "predictions.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

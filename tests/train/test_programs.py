import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from inception_jax import config as configs
from inception_jax import models
from inception_jax.data import colour
from inception_jax.models import factorization
from inception_jax.train import mesh as meshes
from inception_jax.train import programs, state, step
from inception_jax.train.programs import Recipe


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """JAX's cache in a folder of its own, which takes every program."""
    monkeypatch.setattr(programs, "_digest_of_sources", "the sources")
    changed = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_enable_compilation_cache": True,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_default_matmul_precision": None,
    }
    before = {key: jax.config.values[key] for key in changed}
    settle(changed)
    yield tmp_path / programs.FOLDER
    settle(before)


def settle(values):
    """Sets JAX's configuration, also where its cache has been asked already."""
    for key, value in values.items():
        jax.config.update(key, value)
    compilation_cache.reset_cache()


class Traced:
    """A step that counts how often it is traced."""

    __name__ = "traced"

    def __init__(self):
        self.times = 0

    def __call__(self, state, batch, rate):
        self.times += 1
        moved = jax.tree.map(lambda leaf: leaf + rate * batch["x"].mean(), state)
        return moved, {"sum": batch["x"].sum(), "b": moved["b"].sum()}


def config(**overrides):
    return configs.apply(configs.default(), {"data.batch_size": 8} | overrides)


def run(traced, cfg, model="network", donate=True):
    """Two steps of a fresh look-up: the state and the metrics after them."""
    mesh = meshes.create(cfg)
    function = programs.kept(Recipe(lambda *_: jax.jit(traced), model, cfg, donate), mesh)
    state = {"a": jnp.arange(3.0), "b": jnp.ones((2, 2))}
    state = jax.device_put(state, meshes.replicated(mesh))
    batch = meshes.put({"x": np.linspace(0, 1, 8, dtype=np.float32)}, mesh)
    state, _ = function(state, batch, np.float32(0.5))
    state, metrics = function(state, batch, np.float32(0.25))
    return jax.device_get(state), jax.device_get(metrics)


def traces(*arguments, **named):
    """How often a fresh look-up traces."""
    traced = Traced()
    run(traced, *arguments, **named)
    return traced.times


def kept(folder):
    """The programs that are there."""
    return [path for path in folder.rglob("*") if path.is_file()]


def forget_jax_s_cache(folder):
    """As on a machine whose own cache of JAX was emptied."""
    jax.clear_caches()
    for entry in folder.parent.iterdir():
        if entry.is_file():
            entry.unlink()
    compilation_cache.reset_cache()


def test_a_program_that_is_kept_is_not_traced_again_and_gives_the_same_bits(cached):
    one, again = Traced(), Traced()
    first, second = run(one, config()), run(again, config())
    assert (one.times, again.times) == (1, 0)
    assert len(kept(cached)) == 1
    assert cached.stat().st_mode & 0o777 == 0o700
    expected = 0.75 * np.linspace(0, 1, 8, dtype=np.float32).mean()
    np.testing.assert_allclose(first[0]["a"], np.arange(3) + expected, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 3}, {"optim.learning_rate": 0.7}, {"train.epochs": 9.0}, {"data.name": "photos"}],
)
def test_what_a_step_does_not_read_shares_its_program(cached, changed):
    run(Traced(), config())
    assert traces(config(**changed)) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"model.width": 0.25},
        {"loss.label_smoothing": 0.2},
        {"optim.momentum": 0.5},
        {"train.accumulate": 2},
        {"data.colour": "fast"},
    ],
)
def test_another_config_is_another_program(cached, changed):
    run(Traced(), config())
    assert traces(config(**changed)) == 1


@pytest.mark.parametrize(
    "name", ["model", "sources", "flags", "processor", "versions", "setting", "donate"]
)
def test_anything_else_that_a_program_follows_from_is_another_program(cached, monkeypatch, name):
    run(Traced(), config())
    match name:
        case "sources":
            monkeypatch.setattr(programs, "_digest_of_sources", "edited")
        case "flags":
            monkeypatch.setenv("NPROC", "7")
        case "processor":
            monkeypatch.setattr(programs.startup, "processor", lambda: "another")
        case "versions":
            versions = programs.result.versions() | {"flax": "99"}
            monkeypatch.setattr(programs.result, "versions", lambda: versions)
        case "setting":
            jax.config.update("jax_default_matmul_precision", "highest")
    model = "another" if name == "model" else "network"
    assert traces(config(), model, donate=name != "donate") == 1


class Recorded:
    """A config that notes the keys that are read."""

    def __init__(self, values, prefix, read):
        self._values, self._prefix, self._read = values, prefix, read

    def __getattr__(self, name):
        key, value = f"{self._prefix}{name}", getattr(self._values, name)
        if hasattr(value, "items"):
            return Recorded(value, f"{key}.", self._read)
        self._read.add(key)
        return value


@pytest.mark.parametrize("overrides", [{}, {"data.colour": "none", "optim.ema_decay": 0.9}])
def test_a_step_reads_no_key_that_its_program_s_name_does_not_hold(overrides):
    cfg = configs.apply(
        configs.default(),
        {"data.batch_size": 4, "data.image_size": 28, "model.width": 0.125} | overrides,
    )
    model, shape = models.from_config(cfg.model, 10), (28, 28, 3)
    read: set[str] = set()
    recorded: Any = Recorded(cfg, "", read)
    function = step.train_step(model, recorded, meshes.create(cfg))
    batch = {"image": jnp.zeros((4, *shape), jnp.uint8), "label": jnp.zeros(4, jnp.int32)}
    if cfg.data.colour != "none":
        batch["colour"] = jnp.zeros((4, colour.WIDTH))
    jax.eval_shape(function, state.shapes(model, cfg, shape), batch, jnp.float32(0.1))
    assert {"loss.label_smoothing", "train.accumulate", "data.colour"} <= read
    assert [key for key in read if not programs._within(key, programs.READ)] == []
    assert not read & set(programs._ARGUMENTS)


def test_the_digest_follows_every_source_file(tmp_path):
    (tmp_path / "ops").mkdir()
    found = []
    for text in ("a = 1\n", "a = 2\n"):
        (tmp_path / "ops" / "conv.py").write_text(text)
        found.append(programs.sources(tmp_path))
    assert found[0] != found[1]


@pytest.mark.parametrize("damage", ["empty", "nonsense", "half", "a bit"])
def test_a_damaged_program_is_compiled_again_and_mended(cached, damage, caplog):
    first = run(Traced(), config())
    (path,) = kept(cached)
    whole = path.read_bytes()
    middle = len(whole) // 2
    contents = {
        "empty": b"",
        "nonsense": b"nonsense",
        "half": whole[:middle],
        "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }
    path.write_bytes(contents[damage])
    forget_jax_s_cache(cached)
    again = Traced()
    with caplog.at_level(logging.DEBUG):
        jax.tree.map(np.testing.assert_array_equal, run(again, config()), first)
    assert "cannot use" in caplog.text
    assert (again.times, traces(config())) == (1, 0)


def test_a_program_out_of_jax_s_cache_is_run_but_not_kept(cached):
    """XLA writes it without its functions: the next process would fail at its first step."""
    first = run(Traced(), config())
    (path,) = kept(cached)
    path.unlink()
    jax.clear_caches()
    again = Traced()
    jax.tree.map(np.testing.assert_array_equal, run(again, config()), first)
    assert (again.times, kept(cached)) == (1, [])


def test_programs_that_nobody_takes_are_removed(cached):
    run(Traced(), config())
    (old,) = kept(cached)
    long_ago = time.time() - 40 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    forget_jax_s_cache(cached)
    run(Traced(), config(**{"model.width": 0.25}))
    assert old not in kept(cached)


def test_a_folder_that_cannot_be_written_costs_only_the_time(cached):
    cached.parent.mkdir(exist_ok=True)
    cached.write_text("a file where the folder should be")
    assert traces(config()) == 1


@pytest.mark.parametrize("why", ["not enabled", "a strategy", "a replaced one", "off", "a store"])
def test_nothing_is_kept_where_a_program_may_follow_from_something_else(cached, monkeypatch, why):
    match why:
        case "not enabled":
            monkeypatch.setattr(programs, "_digest_of_sources", "")
        case "a strategy":
            monkeypatch.setitem(factorization.STRATEGIES, "mine", lambda n: ((n, n),))
        case "a replaced one":
            monkeypatch.setitem(factorization.STRATEGIES, "direct", lambda n: ((n, n),))
        case "off":
            jax.config.update("jax_enable_compilation_cache", False)
        case "a store":
            jax.config.update("jax_compilation_cache_dir", "gs://bucket/programs")
    mesh = meshes.create(config())
    function = jax.jit(Traced())
    assert programs.kept(Recipe(lambda *_: function, "network", config()), mesh) is function
    assert not cached.exists()
    assert not Path("gs:").exists()


@pytest.mark.slow
def test_a_second_process_trains_from_the_program_of_the_first(tmp_path):
    command = [
        *(sys.executable, "-m", "inception_jax", "train", "--config", "configs/mnist5k.py"),
        *("--config.model.width=0.125", "--config.train.max_steps=3", "--workdir"),
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "NPROC": "1"}
    for name in "ab":
        subprocess.run([*command, str(tmp_path / name)], env=environment, check=True, timeout=300)
    kept = list(tmp_path.glob("inception_jax/compiled/*/whole/*/*"))
    assert len(kept) == 2  # training and evaluation
    for name in ("variables.msgpack", "predictions.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

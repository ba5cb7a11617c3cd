import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import config as configs
from inception_jax import models
from inception_jax.train import compiler, kept, programs, state, step
from inception_jax.train import mesh as meshes
from inception_jax.train.programs import Recipe

SHAPE = (28, 28, 1)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Programs are kept, in a folder of the test's; another process takes on its settings."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_enable_compilation_cache": True,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_numpy_rank_promotion": "raise",
    }
    before = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), str(value))
        jax.config.update(name, value)
    monkeypatch.setattr(programs, "_digest_of_sources", "")
    programs.enable()
    yield tmp_path / programs.FOLDER
    for name, value in before.items():
        jax.config.update(name, value)


def small(**overrides):
    """A recipe of a training step, its mesh and its first arguments."""
    changed = {"data.batch_size": 4, "model.width": 0.0625} | overrides
    cfg = configs.apply(configs.default(), {"data.image_size": 28, **changed})
    model, mesh = models.from_config(cfg.model, 10), meshes.of_all()
    start = state.create(model, cfg, SHAPE, sharding=meshes.replicated(mesh))
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (4, *SHAPE), np.uint8),
        "label": rng.integers(0, 10, 4, np.int32),
    }
    recipe = Recipe(step.train_step, model, cfg, donate=True)
    return recipe, mesh, start, meshes.put(batch, mesh)


def two_steps(recipe, mesh, start, batch, **how):
    function, metrics = programs.kept(recipe, mesh, **how), None
    for rate in np.asarray([0.1, 0.2], np.float32):
        start, metrics = function(start, batch, rate)
    return jax.device_get((start, metrics))


@pytest.mark.slow
def test_a_program_compiled_apart_gives_the_bits_of_one_compiled_here(home, monkeypatch):
    here = two_steps(*small())
    for path in home.rglob("*"):
        if path.is_file():
            path.unlink()
    monkeypatch.setattr(programs, "compiled", lambda *_: pytest.fail("compiled here"))
    apart = two_steps(*small(), calls=programs.APART, early=True)
    jax.tree.map(np.testing.assert_array_equal, apart, here)
    again = two_steps(*small(), early=True)
    jax.tree.map(np.testing.assert_array_equal, again, here)


def local(model, config, mesh):
    """A recipe's function that another process can name."""
    del model, config, mesh

    def function(tree, batch):
        return jax.tree.map(lambda leaf: leaf + batch["x"].sum(), tree), {"sum": batch["x"].sum()}

    return jax.jit(function)


class Unpicklable:
    def __reduce__(self):
        raise TypeError("no")


@pytest.mark.parametrize(
    "why", ["not to be pickled", "another setting", "not to be found", "ends", "not there"]
)
def test_what_cannot_be_compiled_apart_is_compiled_here(home, monkeypatch, why, caplog):
    model = Unpicklable() if why == "not to be pickled" else "network"
    make = (lambda *_: local(*_)) if why == "not to be found" else local
    if why == "another setting":
        monkeypatch.setenv("JAX_NUMPY_RANK_PROMOTION", "allow")
    if why in ("ends", "not there"):
        name = {"ends": "false", "not there": "no_such_program"}[why]
        monkeypatch.setattr(sys, "executable", shutil.which(name) or name)
    mesh = meshes.of_all()
    batch = meshes.put({"x": np.ones(8, np.float32)}, mesh)
    with caplog.at_level("DEBUG"):
        function = programs.kept(Recipe(make, model, configs.default()), mesh, calls=programs.APART)
        tree, found = function(jax.device_put([jnp.ones(2)], meshes.replicated(mesh)), batch)
    assert found["sum"] == 8
    np.testing.assert_array_equal(tree[0], [9, 9])
    said = {"another setting": "would be another", "ends": "", "not there": "cannot start"}
    assert said.get(why, "cannot ask") in caplog.text


def test_the_newest_program_is_read_ahead_and_taken_only_under_its_name(home, monkeypatch):
    mesh = meshes.of_all()
    recipe = Recipe(local, "network", configs.default())
    values = {n: meshes.put({"x": np.ones(n, np.float32)}, mesh) for n in (4, 8)}
    tree = jax.device_put([jnp.ones(2)], meshes.replicated(mesh))
    for batch in values.values():
        programs.kept(recipe, mesh)(tree, batch)
    read = []
    monkeypatch.setattr(
        compiler.kept, "read", lambda path, do=kept.read: (read.append(path), do(path))[1]
    )
    for n, reads in ((8, 1), (4, 2)):
        read.clear()
        _, found = programs.kept(recipe, mesh, early=True)(tree, values[n])
        assert (found["sum"], len(read)) == (n, reads)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_compiler_ends_with_the_process_that_started_it(how):
    code = (
        "import time\nfrom inception_jax.train import compiler\n"
        "process = compiler._Process()\nprint(process._process.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        (sys.executable, "-c", code), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert running(child)
        parent.send_signal(how)
    for _ in range(300):
        if not running(child):
            break
        time.sleep(0.1)
    assert not running(child)


def test_a_compiler_at_work_ends_too(monkeypatch):
    """Also while it compiles: a thread waits for the end of its input."""
    ended = threading.Event()
    monkeypatch.setattr(compiler.os, "_exit", lambda code: ended.set())
    read, write = os.pipe()
    with os.fdopen(read, "rb") as file:
        monkeypatch.setattr(compiler.sys, "stdin", type("Input", (), {"buffer": file}))
        thread = threading.Thread(target=compiler._end_with_parent)
        thread.start()
        assert not ended.wait(0.1)
        os.close(write)
        assert ended.wait(5)
        thread.join()

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import config as configs
from inception_jax import models
from inception_jax.train import compiler, program_files, programs, state, step
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


def small():
    """A recipe of a training step, its mesh and its first arguments."""
    changed = {"data.batch_size": 4, "data.image_size": 28, "model.width": 0.0625}
    cfg = configs.apply(configs.default(), changed)
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
    "why", ["not to be pickled", "another setting", "not to be found", "ends", "not there", "none"]
)
def test_what_cannot_be_compiled_apart_is_compiled_here(home, monkeypatch, why, caplog):
    model = Unpicklable() if why == "not to be pickled" else "network"
    make = (lambda *_: local(*_)) if why == "not to be found" else local
    if why == "another setting":
        monkeypatch.setenv("JAX_NUMPY_RANK_PROMOTION", "allow")
    if why in ("ends", "not there"):
        name = {"ends": "false", "not there": "no_such_program"}[why]
        monkeypatch.setattr(sys, "executable", shutil.which(name) or name)
    if why == "none":
        monkeypatch.setattr(sys, "executable", None)
    mesh = meshes.of_all()
    batch = meshes.put({"x": np.ones(8, np.float32)}, mesh)
    with caplog.at_level("DEBUG"):
        function = programs.kept(Recipe(make, model, configs.default()), mesh, calls=programs.APART)
        tree, found = function(jax.device_put([jnp.ones(2)], meshes.replicated(mesh)), batch)
    assert found["sum"] == 8
    np.testing.assert_array_equal(tree[0], [9, 9])
    said = {
        "not to be pickled": "cannot ask",
        "not to be found": "cannot ask",
        "another setting": "would be another",
        "ends": "not compiled apart",
        "not there": "cannot start",
        "none": "cannot start",
    }
    assert said[why] in caplog.text


def test_what_jax_has_in_its_cache_is_compiled_once_more_and_kept(home, monkeypatch):
    """XLA cannot write it down again: every process would have to trace it."""
    mesh = meshes.of_all()
    recipe = Recipe(local, "network", configs.default())
    arguments = (
        jax.device_put([jnp.ones(2)], meshes.replicated(mesh)),
        meshes.put({"x": np.ones(8, np.float32)}, mesh),
    )
    programs.kept(recipe, mesh)(*arguments)
    (path,) = (path for path in home.rglob("*") if path.is_file())
    path.unlink()
    monkeypatch.setattr(programs, "compiled", lambda *_: pytest.fail("compiled here"))
    _, found = programs.kept(recipe, mesh, calls=programs.APART)(*arguments)
    assert found["sum"] == 8
    assert path.is_file()


def test_nothing_is_compiled_apart_that_could_not_be_kept(home, monkeypatch, caplog):
    home.write_text("a file where the folder should be")
    monkeypatch.setattr(compiler, "_Process", lambda: pytest.fail("started"))
    mesh = meshes.of_all()
    recipe = Recipe(local, "network", configs.default())
    tree = jax.device_put([jnp.ones(2)], meshes.replicated(mesh))
    batch = meshes.put({"x": np.ones(8, np.float32)}, mesh)
    with caplog.at_level("DEBUG"):
        function = programs.kept(recipe, mesh, calls=programs.APART, early=True)
        assert function(tree, batch)[1]["sum"] == 8
    assert "cannot keep" in caplog.text


def test_a_process_that_is_not_needed_ends(tmp_path):
    ahead = compiler.Ahead(tmp_path, apart=True, early=True)
    process = ahead._process
    assert process
    assert running(process._process.pid)
    ahead.close()
    assert process._process.poll() is not None
    assert ahead._process is None


def test_the_newest_program_is_read_ahead_and_taken_only_under_its_name(home, monkeypatch):
    mesh = meshes.of_all()
    recipe = Recipe(local, "network", configs.default())
    values = {n: meshes.put({"x": np.ones(n, np.float32)}, mesh) for n in (4, 8)}
    tree = jax.device_put([jnp.ones(2)], meshes.replicated(mesh))
    for batch in values.values():
        programs.kept(recipe, mesh)(tree, batch)
    read = []
    monkeypatch.setattr(
        compiler.program_files,
        "read",
        lambda path, do=program_files.read: (read.append(path), do(path))[1],
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


def gone(pid):
    """Whether a process ends within half a minute."""
    for _ in range(300):
        if not running(pid):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_waiting_compiler_ends_with_the_process_that_started_it(how):
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
    assert gone(child)


def test_a_compiler_at_work_ends_with_the_process_that_started_it(home, tmp_path):
    """Its recipe takes a minute; the one that asked is killed in the middle of it."""
    flag = tmp_path / "at work"
    text = f"import pathlib, time\ndef make(*_):\n    pathlib.Path({str(flag)!r}).touch()\n"
    (tmp_path / "slow_recipe.py").write_text(text + "    time.sleep(60)\n")
    code = """
import slow_recipe
from inception_jax import config
from inception_jax.train import compiler, programs, mesh
programs.enable()
recipe = programs.Recipe(slow_recipe.make, "network", config.default())
path = programs.home(recipe, mesh.of_all()) / programs.name([], ())
ahead = compiler.Ahead(path.parent, apart=True, early=True)
print(ahead._process._process.pid, flush=True)
ahead.compiled(recipe, [], (), path)
"""
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    with subprocess.Popen(
        (sys.executable, "-c", code),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        for _ in range(300):
            if flag.exists():
                break
            time.sleep(0.1)
        assert flag.exists()
        parent.kill()
    assert gone(child)

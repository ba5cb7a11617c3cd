"""The real network on real data, in processes of its own that are really killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from inception_jax.train import metrics

pytestmark = pytest.mark.slow

CODE = """
import sys
from inception_jax import config, train
overrides = {
    "data.name": "digits", "data.image_size": 8, "data.eval_batch_size": 100,
    "data.augment": "shift_flip", "model.width": 0.5, "train.epochs": 6.0,
    "train.checkpoint_every_steps": 3, "optim.ema_decay": 0.99,
}
train.run(config.apply(config.default(), overrides), sys.argv[1], progress=False)
"""
KILLS = int(os.environ.get("INCEPTION_JAX_TEST_KILLS", "3"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One compilation cache, so that every process but the first starts quickly."""
    cache = tmp_path_factory.mktemp("cache")
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, environment):
    workdir = tmp_path_factory.mktemp("unbroken")
    subprocess.run([sys.executable, "-c", CODE, str(workdir)], env=environment, check=True)
    return workdir


def result(workdir):
    return json.loads((workdir / "result.json").read_text())


def steps_done(workdir):
    """Newest checkpoint, finished or being written."""
    folder = workdir / "checkpoints"
    names = [path.name.split(".")[0] for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdigit()), default=0)


def start_and_kill(workdir, environment, after_step, delay):
    """Run until a checkpoint of `after_step` or later is seen, then SIGKILL; False if it ended."""
    process = subprocess.Popen([sys.executable, "-c", CODE, str(workdir)], env=environment)
    while process.poll() is None:
        if steps_done(workdir) >= after_step:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    return process.wait() == -signal.SIGKILL


def test_inception_small_learns_digits(unbroken):
    assert result(unbroken)["metrics"]["test_top1"] > 0.7  # chance is 0.1


def test_killed_at_random_moments_it_ends_with_the_same_bits(unbroken, tmp_path, environment):
    rng = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        after = steps_done(tmp_path) + rng.randint(1, 20)
        killed += start_and_kill(tmp_path, environment, after, rng.uniform(0, 0.3))
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], env=environment, check=True)
    assert killed > 0
    assert result(tmp_path)["params_sha256"] == result(unbroken)["params_sha256"]
    times = set(metrics.TIME_FIELDS)
    one, other = (
        [{k: v for k, v in record.items() if k not in times} for record in metrics.read(path)]
        for path in (tmp_path / "metrics.jsonl", unbroken / "metrics.jsonl")
    )
    assert one == other

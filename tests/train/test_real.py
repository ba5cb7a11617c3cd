"""The real network on real data, in processes of its own that are really killed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inception_jax.train import metrics

pytestmark = pytest.mark.slow

RECIPE = (
    "--config=configs/mnist5k.py", "--quiet", "--config.data.augment=shift_flip",
    "--config.train.epochs=1", "--config.train.checkpoint_every_steps=3",
    "--config.train.log_every_steps=3", "--config.optim.ema_decay=0.99",
    "--config.model.width=0.25",
)  # fmt: skip
KILLS = int(os.environ.get("INCEPTION_JAX_TEST_KILLS", "3"))
SAFE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # root obeys permissions, too


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One compilation cache, so that every process but the first starts quickly."""
    cache = tmp_path_factory.mktemp("cache")
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",
    }


def command(workdir):
    return [sys.executable, "-m", "inception_jax", "train", *RECIPE, f"--workdir={workdir}"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, environment):
    workdir = tmp_path_factory.mktemp("unbroken")
    subprocess.run(command(workdir), env=environment, check=True)
    return workdir


def result(workdir):
    return json.loads((workdir / "result.json").read_text())


def steps_done(workdir):
    """Newest checkpoint, finished or being written."""
    folder = workdir / "checkpoints"
    names = [path.name.split(".")[0] for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdigit()), default=0)


def start_and_stop(workdir, environment, after_step, delay, number):
    """Run until a checkpoint of `after_step` or later is seen, send a signal, and return the end.

    Returns:
        (exit code, standard error); the code of a process that the signal ended is its negative.
    """
    process = subprocess.Popen(
        command(workdir), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    while process.poll() is None:
        if steps_done(workdir) >= after_step:
            time.sleep(delay)
            process.send_signal(number)
            break
        time.sleep(0.002)
    _, error = process.communicate(timeout=1500)
    return process.returncode, error


def untimed(workdir):
    return [
        {k: v for k, v in record.items() if k not in metrics.TIME_FIELDS}
        for record in metrics.read(workdir / "metrics.jsonl")
    ]


def assert_same_end(workdir, unbroken):
    assert result(workdir)["params_sha256"] == result(unbroken)["params_sha256"]
    assert untimed(workdir) == untimed(unbroken)


def test_inception_small_learns_mnist5k(unbroken):
    assert result(unbroken)["metrics"]["test_top1"] > 0.3  # chance is 0.1


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_moment_it_ends_with_the_same_bits(
    unbroken, tmp_path, environment, number
):
    """Moments drawn once for all, of 62 steps and 20 checkpoints, while one is written or not."""
    rng = random.Random(number)
    code, _ = start_and_stop(
        tmp_path, environment, rng.randint(0, 57), rng.uniform(0, 0.1), signal.SIGKILL
    )
    assert code == -signal.SIGKILL  # else it had ended before
    assert not (tmp_path / "result.json").exists()
    subprocess.run(command(tmp_path), env=environment, check=True)
    assert_same_end(tmp_path, unbroken)


def test_sigterm_saves_and_exits_with_what_schedulers_requeue(unbroken, tmp_path, environment):
    code, error = start_and_stop(tmp_path, environment, 9, 0.05, signal.SIGTERM)
    assert code == 75
    assert "stopped by SIGTERM after step" in error.splitlines()[-1]
    stopped = int(error.split("after step ")[1].split()[0])
    assert steps_done(tmp_path) == stopped
    subprocess.run(command(tmp_path), env=environment, check=True)
    assert_same_end(tmp_path, unbroken)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
def test_a_folder_that_became_read_only_is_one_line(unbroken, tmp_path, environment):
    workdir = tmp_path / "run"
    start_and_stop(workdir, environment, 9, 0, signal.SIGTERM)
    before = {file: file.read_bytes() for file in workdir.rglob("*") if file.is_file()}
    folders = [workdir, *(path for path in workdir.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    prefix = SAFE if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*prefix, *command(workdir)], env=environment, capture_output=True, text=True, check=False
    )
    for folder in folders:
        folder.chmod(0o755)
    assert done.returncode == 1
    assert re.fullmatch(r"inception-jax: cannot .*Permission denied.*\n", done.stderr), done.stderr
    assert before == {file: file.read_bytes() for file in workdir.rglob("*") if file.is_file()}
    subprocess.run(command(workdir), env=environment, check=True)
    assert_same_end(workdir, unbroken)


#: On a disk of its own (a tmpfs in a mount namespace of its own, gone with it), of $1 KiB at $2:
#: the command until the disk is full, then with more room. What it said goes to the file $3, what
#: it left then to $3.full, and in the end to $3.run.
FULL_DISK = """
mount -t tmpfs -o size=$1k none "$2" || exit 99
"${@:4}" 2>"$3"; code=$?
cp -r "$2/run" "$3.full"
mount -o remount,size=1g "$2" && "${@:4}" && cp -r "$2/run" "$3.run" && exit $code
"""


@pytest.mark.skipif("INCEPTION_JAX_TEST_DISK" not in os.environ, reason="two minutes; on demand")
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare of util-linux")
def test_a_full_disk_is_one_line_and_the_run_goes_on_with_more_room(
    unbroken, tmp_path, environment
):
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    one = next((unbroken / "checkpoints").iterdir())
    pages = sum(-(-path.stat().st_size // 4096) for path in one.rglob("*"))
    size = str(int(2.6 * 4 * pages))  # KiB: room for one and what Orbax takes while it writes it
    namespace = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    script = ["bash", "-c", FULL_DISK, "bash", size, str(disk), str(said)]
    done = subprocess.run(
        [*namespace, *script, *command(disk / "run")], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if not said.exists():
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    assert done.returncode == 1, (done.stderr, said.read_text())
    message = r"inception-jax: cannot write a checkpoint to \S+: No space left on device.*intact\n"
    assert re.fullmatch(message, said.read_text())
    assert not list(disk.iterdir())  # it was the namespace's alone
    full, ended = Path(f"{said}.full"), Path(f"{said}.run")
    whole = max(int(p.name) for p in (full / "checkpoints").iterdir() if p.name.isdigit())
    # what was logged before that checkpoint, times and all, is still there: it went on from it
    logged = [
        [record for record in metrics.read(run / "metrics.jsonl") if record["step"] <= whole]
        for run in (full, ended)
    ]
    assert logged[0]
    assert logged[0] == logged[1]
    assert not (ended / "checkpoints.damaged").exists()
    assert_same_end(ended, unbroken)

"""A trial of two processes gives the bits of one with two devices, under every launcher."""

from __future__ import annotations

import dataclasses
import io
import os

import pytest
from rich.console import Console

from inception_jax import study
from inception_jax.study import launch, needs, runner, store

CLUSTERS = bool(os.environ.get("INCEPTION_JAX_TEST_CLUSTERS"))
OPTIONS = {"local": {}, "slurm": {"slurm": "cluster=local"}, "ray": {}}


def trained(root, launcher, each):
    """result.json of the one trial of a small real study."""
    whole = study.load("factorization", "smoke").with_seeds(1)
    one = dataclasses.replace(whole, arms=whole.arms[:1], questions=(), costs=())
    given = {"jobs": 1, "memory_gb": 0.5, "needs": needs.parse(each)} | OPTIONS[launcher]
    runner.run_study(
        one, root, launch.create(launcher, **given), Console(file=io.StringIO()),
        count=lambda *_: None,
    )  # fmt: skip
    return store.read_json(store.trial_folder(root, one.arms[0].name, 0) / "result.json")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("one") / "study", "local", "cpus=2")


@pytest.mark.slow
@pytest.mark.clusters
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not CLUSTERS, reason="set INCEPTION_JAX_TEST_CLUSTERS=1")
@pytest.mark.parametrize("launcher", ["slurm", "ray"])
def test_one_process_gives_the_bits_of_the_local_launcher(tmp_path, one, launcher):
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}[launcher])
    found = trained(tmp_path / "study", launcher, "cpus=2")
    assert found["params_sha256"] == one["params_sha256"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("local", marks=pytest.mark.skipif(not CLUSTERS, reason="minutes")),
        pytest.param("slurm", marks=pytest.mark.skipif(not CLUSTERS, reason="minutes")),
        pytest.param("ray", marks=pytest.mark.skipif(not CLUSTERS, reason="needs Ray")),
    ],
)
@pytest.mark.filterwarnings("default")
def test_two_processes_give_the_bits_of_one(tmp_path, one, launcher):
    found = trained(tmp_path / "study", launcher, "processes=2")
    assert found["machine"]["processes"] == 2
    assert found["params_sha256"] == one["params_sha256"]
    assert found["config"] == one["config"]

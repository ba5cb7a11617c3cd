"""Every launcher gives the table of the local one."""

from __future__ import annotations

import os

import pytest

CLUSTERS = bool(os.environ.get("INCEPTION_JAX_TEST_CLUSTERS"))
LOCAL_SLURM = {"slurm": "cluster=local"}


@pytest.mark.slow
def test_slurm_gives_the_same_table(bench, calm):
    pytest.importorskip("submitit")
    bench.run("slurm", jobs=2, **LOCAL_SLURM)
    assert bench.tables() == calm.tables()
    assert not list((bench.root / ".slurm").glob("*.json"))


@pytest.mark.clusters
@pytest.mark.skipif(not CLUSTERS, reason="set INCEPTION_JAX_TEST_CLUSTERS=1")
@pytest.mark.filterwarnings("default")
def test_ray_gives_the_same_table(bench, calm):
    pytest.importorskip("ray")
    bench.run("ray", memory_gb=0.2)
    assert bench.tables() == calm.tables()

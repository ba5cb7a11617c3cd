"""Several processes: how they are found, and that two give the bits of one."""

from __future__ import annotations

import signal
import time

import pytest
import two_processes

from inception_jax import config as configs
from inception_jax import errors, startup
from inception_jax.train import distributed, metrics

RECIPE = {
    "data.name": "digits", "data.image_size": 8, "data.eval_batch_size": 100,
    "data.augment": "shift_flip", "model.width": 0.25, "model.dropout": 0.2,
    "train.epochs": 1.0, "train.log_every_steps": 5, "optim.ema_decay": 0.99,
    "train.checkpoint_every_steps": 6,
}  # fmt: skip
SLURM = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        (SLURM, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),  # a trial of its own, as submitit starts it
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, False),  # a batch script, outside srun
        ({"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a"}, False),
    ],
)
def test_the_environment_tells_of_other_processes(monkeypatch, environment, several):
    for name in (*SLURM, "OMPI_COMM_WORLD_SIZE", "JAX_COORDINATOR_ADDRESS", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert startup.surrounded() == several


def test_addresses_are_no_part_of_what_a_run_is(monkeypatch):
    asked = []
    monkeypatch.setattr(distributed.jax.distributed, "initialize", lambda *a: asked.append(a))
    given = {
        "parallel.coordinator": "host:1", "parallel.num_processes": 2, "parallel.process_id": 1,
    }  # fmt: skip
    started = distributed.start(configs.apply(configs.default(), given))
    assert asked == [("host:1", 2, 1)]
    assert configs.to_json(started) == configs.to_json(configs.default())


def test_an_address_without_its_numbers_is_one_line():
    config = configs.apply(configs.default(), {"parallel.coordinator": "host:1"})
    with pytest.raises(errors.UserError, match=r"process_id is -1 of parallel.num_processes 0"):
        distributed.start(config)


def test_processes_that_do_not_meet_are_one_line(monkeypatch):
    def fail(*args):
        raise RuntimeError("DEADLINE_EXCEEDED: barrier\nmore")

    monkeypatch.setattr(distributed.jax.distributed, "initialize", fail)
    config = configs.apply(configs.default(), {"parallel.coordinator": "auto"})
    with pytest.raises(errors.UserError, match=r"did not meet \(DEADLINE_EXCEEDED: barrier\)"):
        distributed.start(config)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, cache):
    """(workdir, result) of one process with two devices."""
    workdir = tmp_path_factory.mktemp("alone")
    return workdir, two_processes.results(two_processes.start(RECIPE, [workdir], cache, 2))[0]


def untimed(workdir):
    times = set(metrics.TIME_FIELDS)
    records = metrics.read(workdir / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k not in times} for record in records]


@pytest.mark.slow
def test_two_processes_give_the_bits_of_one(alone, tmp_path, cache):
    folders = [tmp_path / "first", tmp_path / "second"]
    first, second = two_processes.results(two_processes.start(RECIPE, folders, cache))
    assert first == second
    assert first["machine"]["processes"] == 2
    assert first["params_sha256"] == alone[1]["params_sha256"]
    assert first["config"] == alone[1]["config"]
    assert untimed(folders[0]) == untimed(alone[0])
    assert not folders[1].exists()  # only the first process writes


@pytest.mark.slow
def test_two_stopped_processes_save_once_and_one_goes_on(alone, tmp_path, cache):
    """SIGTERM to one of two; then one process with two devices finishes the run."""
    folders = [tmp_path / "first", tmp_path / "second"]
    longer = RECIPE | {"train.epochs": 200.0}
    processes = two_processes.start(longer, folders, cache)
    while not (folders[0] / "checkpoints" / "6").is_dir():
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGTERM)
    ended = two_processes.finish(processes)
    assert [code for code, _, _ in ended] == [75, 75], ended
    assert all("stopped by SIGTERM after step" in err for _, _, err in ended)
    assert not folders[1].exists()
    steps = [int(p.name) for p in (folders[0] / "checkpoints").iterdir()]
    assert max(steps) % distributed.MEETING == 0


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_killed(alone, tmp_path, cache):
    folders = [tmp_path / "first", tmp_path / "second"]
    processes = two_processes.start(RECIPE, folders, cache)
    while not (folders[0] / "checkpoints" / "6").is_dir():
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.005)
    for process in processes:
        process.kill()
    two_processes.finish(processes)
    assert not (folders[0] / "result.json").exists()
    first, _ = two_processes.results(two_processes.start(RECIPE, folders, cache))
    assert first["params_sha256"] == alone[1]["params_sha256"]
    assert untimed(folders[0]) == untimed(alone[0])

"""Several processes: how they are found, and that two give the bits of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import two_processes

from inception_jax import config as configs
from inception_jax import errors, processes
from inception_jax.train import distributed, metrics

RECIPE = {
    "data.name": "digits", "data.image_size": 8, "data.eval_batch_size": 100,
    "data.augment": "shift_flip", "model.width": 0.25, "model.dropout": 0.2,
    "train.epochs": 1.0, "train.log_every_steps": 5, "optim.ema_decay": 0.99,
    "train.checkpoint_every_steps": 6,
}  # fmt: skip
SLURM = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}


NAMES = (
    *SLURM, "SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE",
    "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
    "JAX_COORDINATOR_ADDRESS", "TPU_WORKER_HOSTNAMES",
)  # fmt: skip
#: Two machines, of which this is the second, with one task each.
ONE_A_NODE = SLURM | {"SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
#: The third of three machines: two tasks on each of the first two, one on this.
UNEVEN = SLURM | {
    "SLURM_NODEID": "2", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1", "SLURM_PROCID": "4",
    "SLURM_NTASKS": "5",
}  # fmt: skip
MPI = {
    "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}  # fmt: skip


@pytest.fixture
def surroundings(monkeypatch):
    """Sets the variables of a launcher, and no other's."""

    def be(environment):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return be


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        (SLURM, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),  # a trial of its own, as submitit starts it
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, False),  # a batch script, outside srun
        ({"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a"}, False),
    ],
)
def test_the_environment_tells_of_other_processes(surroundings, environment, several):
    surroundings(environment)
    assert processes.surrounded() == several


@pytest.mark.parametrize(
    ("environment", "overrides", "wanted"),
    [
        ({}, {}, (1, 0, 1)),
        (ONE_A_NODE, {}, (2, 1, 1)),
        (UNEVEN, {}, (5, 4, 1)),
        (UNEVEN | {"SLURM_NODEID": "1", "SLURM_PROCID": "2"}, {}, (5, 2, 2)),
        (ONE_A_NODE, {"parallel.coordinator": "none"}, (1, 0, 1)),
        (MPI, {}, (4, 3, 2)),
        (MPI, {"parallel.coordinator": "far:1"}, (4, 3, 2)),  # only the address is given
        ({}, {"parallel.coordinator": "far:1", "parallel.num_processes": 3,
              "parallel.process_id": 2}, (3, 2, 1)),
        ({}, {"parallel.coordinator": "127.0.0.1:1", "parallel.num_processes": 3,
              "parallel.process_id": 2}, (3, 2, 3)),
    ],
)  # fmt: skip
def test_a_run_knows_its_processes(surroundings, environment, overrides, wanted):
    surroundings(environment)
    found = processes.of(configs.apply(configs.default(), overrides))
    assert found == processes.Processes(*wanted)


@pytest.fixture
def asked(monkeypatch):
    """What JAX is asked for."""
    calls = []
    monkeypatch.setattr(
        distributed.jax.distributed, "initialize", lambda *a, **k: calls.append((a, k))
    )
    return calls


def test_addresses_are_no_part_of_what_a_run_is(surroundings, asked):
    surroundings({})
    given = {
        "parallel.coordinator": "host:1", "parallel.num_processes": 2, "parallel.process_id": 1,
    }  # fmt: skip
    started = distributed.start(configs.apply(configs.default(), given))
    assert asked == [(("host:1", 2, 1), {"local_device_ids": ()})]
    assert configs.to_json(started) == configs.to_json(configs.default())


def test_one_task_a_machine_has_all_of_its_devices(surroundings, asked):
    """JAX gives a task of SLURM or Open MPI one device, unless it is told which it may have."""
    for environment in (ONE_A_NODE, UNEVEN, MPI):
        surroundings(environment)
        distributed.start(configs.default())
    assert asked == [((), {"local_device_ids": ()}), ((), {"local_device_ids": ()}), ((), {})]


@pytest.mark.parametrize(("named", "visible"), [("", "0"), ("local_device_ids=()", "all")])
def test_no_local_devices_named_means_all_of_them_to_jax(named, visible):
    """Against JAX itself, as the one task of a SLURM step on this machine."""
    program = f"""
import jax
jax.distributed.initialize({named})
print(jax.config.values["jax_cuda_visible_devices"])
"""
    step = SLURM | {
        "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0",
        "SLURM_JOB_ID": "7", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_NODES": "1",
        "JAX_COORDINATOR_PORT": str(two_processes.free_port()),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | step, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.stdout.strip() == visible, done.stderr


def test_an_address_without_its_numbers_is_one_line(surroundings):
    surroundings({})
    config = configs.apply(configs.default(), {"parallel.coordinator": "host:1"})
    with pytest.raises(errors.UserError, match=r"process_id is -1 of parallel.num_processes 0"):
        distributed.start(config)


def test_processes_that_do_not_meet_are_one_line(monkeypatch):
    def fail(*args, **kwargs):
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

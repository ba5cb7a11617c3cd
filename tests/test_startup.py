"""What is settled before JAX starts, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from inception_jax import config, errors, startup


def in_a_process(program: str, **environment: str) -> str:
    base = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", startup.VARIABLE)}
    done = subprocess.run(
        [sys.executable, "-c", f"from inception_jax import config, startup\n{program}"],
        env={**base, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DEVICES = "startup.prepare((12, 24)); import jax; print(jax.device_count())"


def test_one_device_a_core_as_far_as_the_batches_divide():
    assert int(in_a_process(DEVICES)) == startup.shared(startup.cores(), (12, 24))


@pytest.mark.parametrize("number", [1, 3])
def test_the_variable_sets_another_number(number):
    assert int(in_a_process(DEVICES, **{startup.VARIABLE: str(number)})) == number


def test_zero_leaves_jax_as_it_comes():
    program = "import os; startup.prepare(); print(os.environ.get('XLA_FLAGS'))"
    assert in_a_process(program, **{startup.VARIABLE: "0"}) == "None"


def test_a_number_of_devices_in_xla_flags_is_left_alone():
    flags = "--xla_force_host_platform_device_count=5"
    assert int(in_a_process(DEVICES, XLA_FLAGS=flags)) == 5


def test_a_config_says_what_its_devices_share():
    program = """
import os
settings = {"data.batch_size": 12, "data.eval_batch_size": 9, **OVERRIDES}
startup.prepare_for(config.apply(config.default(), settings))
print(os.environ.get("XLA_FLAGS", "").rpartition("=")[2])
"""
    found = in_a_process(program.replace("OVERRIDES", "{}"))
    assert int(found) == startup.shared(startup.cores(), (12,))
    assert in_a_process(program.replace("OVERRIDES", "{'parallel.devices': 3}")) == "3"
    shared = "{'parallel.coordinator': 'localhost:1', 'parallel.num_processes': 2}"
    assert in_a_process(program.replace("OVERRIDES", shared)) == ""
    apart = "{'parallel.coordinator': 'far:1', 'parallel.num_processes': 3}"
    assert int(in_a_process(program.replace("OVERRIDES", apart))) == startup.shared(
        startup.cores(), (12 // 3,)
    )


def test_devices_that_batches_can_share():
    assert startup.shared(8, (64, 250)) == 2
    assert startup.shared(6, (12, 24)) == 6
    assert startup.shared(4, (9,)) == 3
    assert startup.shared(0, ()) == 1


def test_a_core_each_needs_no_threads():
    assert startup.flags(2, available=2)["--xla_cpu_multi_thread_eigen"] == "false"
    assert "--xla_cpu_multi_thread_eigen" not in startup.flags(2, available=8)


def test_a_wrong_value_is_one_line(monkeypatch):
    monkeypatch.setenv(startup.VARIABLE, "two")
    with pytest.raises(errors.UsageError, match="must be a number of devices, got 'two'"):
        startup.prepare_for(config.default())


def test_flags_are_only_for_the_releases_they_were_measured_on():
    assert startup.tuned_flags("0.10.2")
    assert startup.tuned_flags("0.9.0") == {}
    assert startup.tuned_flags("0.11.0") == {}

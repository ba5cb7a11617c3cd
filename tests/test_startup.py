"""What is settled before JAX starts, in processes of its own."""

from __future__ import annotations

import math
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


DEVICES = "startup.prepare(); import jax; print(jax.device_count())"


def test_one_device_a_core():
    assert int(in_a_process(DEVICES)) == startup.cores()


@pytest.mark.parametrize("number", [1, 3])
def test_the_variable_sets_another_number(number):
    assert int(in_a_process(DEVICES, **{startup.VARIABLE: str(number)})) == number


def test_zero_leaves_jax_as_it_comes():
    program = "import os; startup.prepare(); print(os.environ.get('XLA_FLAGS'))"
    assert in_a_process(program, **{startup.VARIABLE: "0"}) == "None"


def test_a_number_of_devices_in_xla_flags_is_left_alone():
    flags = "--xla_force_host_platform_device_count=5"
    assert int(in_a_process(DEVICES, XLA_FLAGS=flags)) == 5


def test_a_config_says_how_many_train_and_evaluate():
    program = """
import os
startup.prepare_for(config.apply(config.default(), OVERRIDES), training=TRAINING)
print(os.environ.get("XLA_FLAGS", "").rpartition("=")[2])
"""

    def devices(overrides: str, training: str = "True") -> str:
        return in_a_process(program.replace("OVERRIDES", overrides).replace("TRAINING", training))

    assert devices("{}") == "1"
    assert int(devices("{'data.batch_size': 24}", "False")) == math.gcd(24, startup.cores())
    assert devices("{'parallel.devices': 3}") == devices("{'parallel.devices': 3}", "False") == "3"
    together = "{'parallel.coordinator': 'localhost:1', 'parallel.num_processes': 2}"
    assert devices(together) == ""
    assert devices("{'parallel.coordinator': 'far:1', 'parallel.num_processes': 3}") == "1"


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

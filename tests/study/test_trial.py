"""The trial's process: its errors are one line and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from inception_jax.study import trial


def test_wrong_use_and_a_missing_config_are_one_line(tmp_path, capsys):
    assert trial.main([]) == 2
    assert trial.main([str(tmp_path)]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("error: ")
    assert "no config.json" in error[-1]


def test_an_unknown_key_is_one_line(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"optim": {"learning_rat": 1}, "data": {}}')
    assert trial.main([str(tmp_path)]) == 2
    assert "did you mean 'optim.learning_rate'" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_a_trial_whose_driver_is_gone_does_not_start(tmp_path):
    environment = {**os.environ, "INCEPTION_JAX_DRIVER": "1"}
    command = [sys.executable, "-m", "inception_jax.study.trial", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")

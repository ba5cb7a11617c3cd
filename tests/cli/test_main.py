"""The command itself: help without JAX, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inception_jax.cli import main
from inception_jax.cli.main import COMMANDS


def test_help_loads_no_jax():
    program = (
        "import sys; from inception_jax.cli import main; main(['--help']);"
        "heavy = {'jax', 'flax', 'tensorflow', 'tensorflow_datasets', 'torch', 'numpy', 'scipy'};"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert f"inception-jax {name} " in capsys.readouterr().out.replace("usage: ", "", 1)


def test_no_command_is_wrong_usage(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out

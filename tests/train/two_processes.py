"""Starts a run as one process or as two that meet over loopback, each in a fresh interpreter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

# The last argument but one is the process, -1 for a run of one.
PROGRAM = """
import json, sys
overrides, workdir, index, port = json.loads(sys.argv[1]), *sys.argv[2:]
index = int(index)
if index >= 0:
    overrides |= {"parallel.coordinator": f"127.0.0.1:{port}", "parallel.num_processes": 2,
                  "parallel.process_id": index}
from inception_jax import config, errors, train
try:
    result = train.run(config.apply(config.default(), overrides), workdir, progress=False)
except errors.UserError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps(result))
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(overrides, workdirs, cache, devices=1):
    """One process for each workdir, the first of which writes."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} "
        "--xla_backend_optimization_level=0",
    }
    port = str(free_port())
    return [
        subprocess.Popen(
            [
                sys.executable, "-c", PROGRAM, json.dumps(overrides), str(workdir),
                str(index if len(workdirs) > 1 else -1), port,
            ],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index, workdir in enumerate(workdirs)
    ]  # fmt: skip


def finish(processes):
    """(exit code, standard output, standard error) of each."""
    outputs = [process.communicate(timeout=1500) for process in processes]
    return [(p.returncode, *out) for p, out in zip(processes, outputs, strict=True)]


def results(processes):
    """The result that each process returned; all must have ended well."""
    ended = finish(processes)
    assert [code for code, _, _ in ended] == [0] * len(ended), ended
    return [json.loads(out.splitlines()[-1]) for _, out, _ in ended]

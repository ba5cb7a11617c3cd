"""result.json: what a run gave, with everything needed to know where it came from."""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

import inception_jax
from inception_jax import config as configs
from inception_jax import errors, files

FILE = "result.json"
CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {name: metadata.version(name) for name in _PACKAGES}
    return found | {
        "python": platform.python_version(),
        "inception_jax": inception_jax.__version__,
    }


@functools.cache
def commit() -> str:
    """The checkout's git commit, with "-dirty" after it if files differ; "" in a wheel."""
    root = Path(inception_jax.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, system and devices."""
    devices = jax.devices()
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "platform": platform.platform(),
        "devices": len(devices),
        "device_kind": devices[0].device_kind,
        "processes": jax.process_count(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def peak_memory() -> int:
    """The largest memory this process has held so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def read(workdir: Path) -> dict[str, Any]:
    """The result of a finished run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = workdir / FILE
    try:
        content = json.loads(path.read_text())
        config, about = content["config"], content["data"]
        if not isinstance(config, dict) or not isinstance(about["num_classes"], int):
            raise ValueError("config or data")
    except OSError as error:
        why = f"no {FILE}" if workdir.is_dir() else "no such folder"
        raise errors.UserError(f"no finished run in {workdir} ({why}); train first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.UserError(f"{path} is damaged; remove it and train again") from error
    return content


# How a run is carried out, which may change while it goes on: of the numbers that it gives only the
# order of sums depends on it, on the devices. The rest is a place, a pace or a copy.
_MAY_CHANGE = (
    *configs.PLACE_KEYS,
    "parallel.",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.tensorboard",
)


def existing(workdir: Path, config: ConfigDict) -> dict[str, Any] | None:
    """The result that is already in the folder, or None.

    A run that left neither a result nor a checkpoint holds nothing, whatever its config was: the
    mistake that ended it can be mended in the same folder.

    Raises:
        UserError: the folder is another config's, with the keys that differ.
    """
    for name in (FILE, CONFIG):
        path = workdir / name
        if not path.is_file() or (name == CONFIG and not any(workdir.glob(f"{CHECKPOINTS}/*"))):
            continue
        try:
            content = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise errors.UserError(f"{path} is not JSON ({error}); remove it") from error
        found = content["config"] if name == FILE else content
        # a key that came later has its default, with which the older run was made
        found = json.loads(configs.to_json(configs.from_json(json.dumps(found))))
        keys = _differing(found, json.loads(configs.to_json(config)))
        differing = [key for key in keys if not key.startswith(_MAY_CHANGE)]
        if differing:
            raise errors.UserError(
                f"{workdir} holds a run of another config, which differs in "
                f"{', '.join(differing)}; choose another workdir or remove this one"
            )
        if name == FILE:
            return content
    return None


def _differing(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ, with both values where they are short."""
    keys: list[str] = []
    for name in sorted({*one, *other} - {"derived"}):
        left, right = one.get(name), other.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            keys += _differing(left, right, f"{prefix}{name}.")
        elif left != right:
            keys.append(f"{prefix}{name} ({json.dumps(left)} there, {json.dumps(right)} here)")
    return keys


def write(workdir: Path, content: dict[str, Any]) -> None:
    """Write result.json, whole or not at all."""
    files.write_text(workdir / FILE, json.dumps(content, indent=2) + "\n")

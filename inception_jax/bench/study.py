"""Measures a study as it runs by default against its trials one after another, each from nothing.

Both run the same trials; the slow one has no compilation cache and one trial at a time:

  inception-jax bench study
  inception-jax bench study factorization --seeds 2 --format json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.bench import arguments


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("name", nargs="?", default="factorization", metavar="NAME")
    parser.add_argument(
        "--seeds", type=arguments.count, help="another number of seeds than the study's own"
    )
    parser.add_argument("--scale", choices=("smoke", "default"), default="default")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> None:
    """Runs the study twice and prints both times."""
    content = measure(args.name, args.scale, args.seeds)
    if args.format == "json":
        print(json.dumps(content, indent=2))
        return
    fast, slow = content["seconds"], content["one_after_another_seconds"]
    print(f"{args.name}: {fast:.0f} s by default, {slow:.0f} s one trial after another without")
    print(f"a compilation cache; {content['ratio']:.2f} times as fast")


def measure(name: str, scale: str, seeds: int | None) -> dict[str, Any]:
    """Runs a study twice: as it is by default, then one trial after another without a cache.

    Args:
        name: of the study.
        scale: "smoke" or "default".
        seeds: another number of seeds than the study's own.

    Raises:
        UserError: the study failed.
    """
    command = [sys.executable, "-m", "inception_jax", "study", name, "--scale", scale]
    command += ["--seeds", str(seeds)] if seeds else []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # an empty cache of its own: the default has to fill it first, as on a new machine
        cached = {"JAX_COMPILATION_CACHE_DIR": str(root / "cache")}
        fast = _seconds([*command, "--workdir", str(root / "fast")], cached)
        slow = _seconds(
            [*command, "--workdir", str(root / "slow"), "--jobs", "1"],
            {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        )
    return {
        "measure": "study",
        "study": name,
        "scale": scale,
        "seeds": seeds,
        "seconds": round(fast, 1),
        "one_after_another_seconds": round(slow, 1),
        "ratio": round(slow / fast, 3),
    }


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise errors.UserError(f"the study ended with exit code {done.returncode}")
    return time.perf_counter() - start

"""What a launcher costs beside the trials themselves: seconds a trial, one trial at a time.

The trials train nothing: each is a process that reads its config and writes a result. The same
processes, started one after another without a launcher, are what they take by themselves. SLURM is
submitit's local executor, so that waiting in a queue is not measured. Processor time is that of the
driver and of what it started, without the trials' own; an idle machine takes little more for it.
Ray's processes are not the driver's: there it is not known.

  inception-jax bench launchers
  inception-jax bench launchers --launcher local --launcher ray --trials 20 --format json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inception_jax import config as configs
from inception_jax import errors
from inception_jax.bench import arguments
from inception_jax.study import launch, store
from inception_jax.study.launch import Job

_OPTIONS: dict[str, dict[str, Any]] = {"local": {}, "slurm": {"slurm": "cluster=local"}, "ray": {}}
_TRIAL = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
result = {"config": json.loads((folder / "config.json").read_text()), "metrics": {}, "steps": 0,
          "params_sha256": "", "seconds": 0.0, "versions": {}, "commit": ""}
(folder / "new").write_text(json.dumps(result))
(folder / "new").rename(folder / "result.json")
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--launcher", action="append", choices=tuple(_OPTIONS), dest="launchers")
    parser.add_argument("--trials", type=arguments.count, default=20)
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    rows = [_measure(name, args.trials) for name in args.launchers or _OPTIONS]
    if args.format == "json":
        print(json.dumps({"measure": "launchers", "trials": args.trials, "rows": rows}, indent=2))
        return
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; seconds a trial")
    print("launcher     start  overhead  of it processor  the trial's process")
    for row in rows:
        cpu = row["overhead_cpu_seconds"]
        print(
            f"{row['launcher']:<8}  {row['start_seconds']:>8.2f}  {row['overhead_seconds']:>8.3f}"
            f"  {'–' if cpu is None else f'{cpu:.3f}':>15}  {row['process_seconds']:>19.3f}"
        )


def _measure(name: str, trials: int) -> dict[str, Any]:
    command = (sys.executable, "-c", _TRIAL)
    with tempfile.TemporaryDirectory() as folder:
        spent = _processor()
        alone = statistics.mean(_alone(command, job) for job in _jobs(Path(folder) / "a", trials))
        own = _processor() - spent
        jobs = _jobs(Path(folder) / "b", trials)
        launcher = launch.create(name, jobs=1, memory_gb=0.1, command=command, **_OPTIONS[name])
        failed: list[str] = []
        try:
            spent, begun = _processor(), time.perf_counter()
            launcher.describe()  # connects
            started = time.perf_counter()
            launcher.launch(
                jobs,
                lambda event: (
                    failed.append(event.reason)
                    if event and event.kind in ("retried", "failed")
                    else None
                ),
            )
            ended = time.perf_counter()
        finally:
            launcher.close()
    cpu = (_processor() - spent - own) / trials
    if failed:
        raise errors.UserError(f"a trial failed under {name}: {failed[0]}")
    return {
        "launcher": name,
        "start_seconds": round(started - begun, 3),
        "overhead_seconds": round((ended - started) / trials - alone, 4),
        "overhead_cpu_seconds": None if name == "ray" else round(cpu, 4),
        "process_seconds": round(alone, 4),
    }


def _processor() -> float:
    """Processor time of this process and of all that have ended below it, s."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _jobs(root: Path, count: int) -> list[Job]:
    config = json.loads(configs.to_json(configs.default()))
    jobs = [Job("arm", seed, store.trial_folder(root, "arm", seed)) for seed in range(count)]
    for job in jobs:
        store.write_json(job.folder / store.CONFIG_FILE, {**config, "seed": job.seed})
    return jobs


def _alone(command: tuple[str, ...], job: Job) -> float:
    begun = time.perf_counter()
    subprocess.run([*command, str(job.folder)], check=True)
    return time.perf_counter() - begun

"""What SLURM is asked for, in submitit's words, and the processes of its local executor."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import psutil

from inception_jax import errors
from inception_jax.study.needs import Needs

_MINUTES = 240  # of a job, where neither --time-limit nor --slurm time says it; it is requeued then
_TIMEOUTS = 100  # how often a job is requeued because its minutes were over


def parse(text: str | None) -> dict[str, str]:
    """`partition=gpu,time=240` as sbatch's parameters.

    Raises:
        UsageError: a word that is not KEY=VALUE.
    """
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    pairs = [word.partition("=") for word in words]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise errors.UsageError(
                f"--slurm takes KEY=VALUE,..., got {text!r}; as in partition=gpu,time=240"
            )
    return {key: value for key, _, value in pairs}


def _minutes(text: str) -> int:
    """A time limit in minutes, of sbatch's forms M, M:S, H:M:S, D-H, D-H:M and D-H:M:S."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        raise errors.UsageError(
            f"--slurm time={text!r} is no time; give minutes, HH:MM:SS or D-HH:MM:SS"
        )
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, minutes, seconds = (0, *numbers, 0)[:3]
    return max(1, math.ceil(int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60))


def _nodes(text: str, needs: Needs) -> int:
    """How many machines share the processes of a trial evenly."""
    nodes = int(text) if text.isdecimal() else 0
    if not nodes or needs.processes % nodes:
        raise errors.UsageError(
            f"--slurm nodes={text} does not divide the {needs.processes} processes of a trial"
        )
    return nodes


def executor(
    submitit: Any,
    folder: Path,
    needs: Needs,
    parameters: dict[str, str],
    *,
    memory_gb: float,
    jobs: int | None,
    time_limit: float | None,
    local: bool,
) -> Any:
    """submitit's executor for jobs of one trial each.

    Args:
        submitit: the package.
        folder: for its files.
        needs: of each process, which is one task.
        parameters: sbatch's, beside these.
        memory_gb: of each process.
        jobs: elements of an array that run at once; None is as many as SLURM allows.
        time_limit: of a trial, s.
        local: whether jobs run on this machine, without SLURM.

    Raises:
        UserError: there is no SLURM here, or it knows no such parameter.
        UsageError: nodes or time are none, or TPUs are asked for.
    """
    if needs.tpus:
        raise errors.UsageError("--launcher slurm cannot ask for TPUs; name GPUs or cores")
    given = dict(parameters)
    cluster = "local" if local else "slurm"
    try:
        default = math.ceil(time_limit / 60) + 5 if time_limit else _MINUTES
        minutes = _minutes(given.pop("time")) if "time" in given else default
        nodes = 1 if local else _nodes(given.pop("nodes", str(needs.processes)), needs)
        tasks = needs.processes // nodes
        made = submitit.AutoExecutor(
            folder=folder, cluster=cluster, **{f"{cluster}_max_num_timeout": _TIMEOUTS}
        )
        made.update_parameters(
            timeout_min=minutes,
            nodes=nodes,
            tasks_per_node=tasks,
            cpus_per_task=needs.cpus,
            mem_gb=math.ceil(memory_gb * tasks),
            stderr_to_stdout=True,
            name="inception-jax",
        )
        if not local:
            made.update_parameters(
                slurm_additional_parameters={"requeue": True, **given},
                **({"slurm_gpus_per_task": needs.gpus} if needs.gpus else {}),
                **({"slurm_array_parallelism": jobs} if jobs else {}),
            )
    except (RuntimeError, ValueError, TypeError, NameError) as error:
        raise errors.UserError(f"cannot use SLURM: {str(error).splitlines()[0]}") from None
    return made


def controls(process: int) -> bool:
    """Whether a process is a job of submitit's local executor that runs."""
    try:
        found = psutil.Process(process)
        return found.status() != psutil.STATUS_ZOMBIE and any(
            "submitit" in word for word in found.cmdline()
        )
    except psutil.Error:
        return False


def kill(process: int) -> None:
    """Kills a job of the local executor with everything under it."""
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(process)
        for each in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                each.kill()

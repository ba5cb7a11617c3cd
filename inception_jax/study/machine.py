"""How many trials run at once on this machine, and what each of them is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inception_jax import errors, startup
from inception_jax.study.needs import Needs

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# of a GPU's memory, for the trials that share it; the rest is for their CUDA contexts
_SHARED_MEMORY = 0.8
_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


@dataclass(frozen=True)
class Slot:
    """The share of the machine that one process of a trial gets.

    Attributes:
        cores: ids of its processor cores; empty where they cannot be told apart.
        gpus: indices of its GPUs; empty where it computes on its cores.
        devices: XLA devices on its cores.
        accelerated: whether a scheduler has given it GPUs or TPUs already.
        memory: the share of its GPUs' memory; 0 is what JAX takes by itself.
    """

    cores: tuple[int, ...] = ()
    gpus: tuple[int, ...] = ()
    devices: int = 1
    accelerated: bool = False
    memory: float = 0.0


def plan(
    jobs: int | None = None, memory_gb: float = 1.5, needs: Needs | None = None
) -> tuple[list[tuple[Slot, ...]], str]:
    """The slots of this machine, each a share for every process of a trial, and why so many.

    One trial a GPU where there are GPUs, or several on each where `jobs` asks for more and each
    needs only one: a small network leaves most of a GPU idle. Else one trial a core, each pinned
    to its own, because small networks gain less from a second core than from a second trial.
    Fewer where the memory would not do, but never more than a core each: two cores round
    otherwise than one, and a trial's bits must not depend on how many others ran beside it.

    Args:
        jobs: how many at once, where the user knows better.
        memory_gb: what one trial needs.
        needs: of each process of a trial.
    """
    needs = needs or Needs()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = _gpus()
    each = needs.gpus or 1
    if needs.tpus and not _has_tpu():
        raise errors.UserError(f"a trial needs {needs}, but this machine has no TPU")
    if gpus:
        if gpus < each * needs.processes:
            raise errors.UserError(f"a trial needs {needs}, but this machine has {gpus} GPU")
        if jobs and jobs > gpus and each * needs.processes == 1:
            return _sharing(jobs, gpus)
        count = min(jobs or gpus, gpus // (each * needs.processes))
        shares = [Slot(gpus=tuple(range(i, i + each))) for i in range(0, gpus - each + 1, each)]
        reason = "one for each GPU" if needs == Needs() else f"{needs} for each"
        asked = f" (of {jobs} asked for)" if jobs and jobs > count else ""
        return _grouped(shares, count, needs.processes), f"{count} at once{asked}, {reason}"
    if needs.gpus:
        raise errors.UserError(f"a trial needs {needs}, but this machine has no GPU")
    if _has_tpu():
        return [(Slot(accelerated=True),)], "one at a time, on the TPU"
    available = _available_gb()
    total = len(cores) or os.cpu_count() or 1
    wanted = jobs or max(1, total // (needs.cpus * needs.processes))
    fitting = max(1, int(available / (needs.memory or memory_gb))) if jobs is None else wanted
    count = min(wanted, fitting)
    shares = [
        Slot(cores=_take(cores, i * needs.cpus, needs.cpus), devices=needs.cpus)
        for i in range(count * needs.processes)
    ]
    limit = f", limited by {available:.0f} GB of free memory" if fitting < wanted else ""
    slots = _grouped(shares, count, needs.processes)
    share = "one core" if needs == Needs() else str(needs)
    return slots, f"{count} at once, {f'{share} each' if cores else 'not pinned'}{limit}"


def _sharing(jobs: int, gpus: int) -> tuple[list[tuple[Slot, ...]], str]:
    """Several trials on each GPU, each with its part of the memory."""
    most = -(-jobs // gpus)
    slots = [(Slot(gpus=(i % gpus,), memory=_SHARED_MEMORY / most),) for i in range(jobs)]
    return slots, f"{jobs} at once, up to {most} on a GPU"


def _take(cores: list[int], start: int, count: int) -> tuple[int, ...]:
    """So many cores from a start, and from the first again after the last."""
    found = {cores[i % len(cores)] for i in range(start, start + count)} if cores else set()
    return tuple(sorted(found))


def _grouped(shares: list[Slot], count: int, size: int) -> list[tuple[Slot, ...]]:
    return [tuple(shares[i * size : (i + 1) * size]) for i in range(count)]


def _wants_cpu() -> bool:
    return os.environ.get("JAX_PLATFORMS", "").lower() == "cpu"


def _gpus() -> int:
    if _wants_cpu():
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def _has_tpu() -> bool:
    return not _wants_cpu() and any(Path("/dev").glob("accel[0-9]*"))


def _available_gb() -> float:
    import psutil

    return psutil.virtual_memory().available / 1e9


def environment(slot: Slot, base: Mapping[str, str], processes: int = 1) -> dict[str, str]:
    """The environment of a process in `slot`, one of so many of its trial.

    On CPU it gets its slot's XLA devices and one thread for each library, wherever it runs, so
    that it gives the same bits. All share JAX's compilation cache: the seeds of an arm compile
    once.
    """
    result = dict(base)
    result.setdefault("JAX_COMPILATION_CACHE_DIR", str(startup.compilation_cache(base)))
    result.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    result.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    result["PYTHONUNBUFFERED"] = "1"
    if slot.gpus:
        visible = [name for name in base.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        chosen = [visible[index] if visible else str(index) for index in slot.gpus]
        result["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        if slot.memory:  # under the older of its two names, as JAX refuses to be given both
            given = result.pop("XLA_CLIENT_MEM_FRACTION", None) or result.get(_FRACTION, "1")
            result[_FRACTION] = f"{min(float(given), slot.memory):.4f}"
    elif not slot.accelerated:
        given = base.get("XLA_FLAGS", "")
        flags = startup.flags(devices=slot.devices, available=slot.devices)
        flags |= startup.without_given(given, startup.QUICK_COMPILATION)
        result["XLA_FLAGS"] = startup.with_flags(given, flags)
        result.update(dict.fromkeys(_THREAD_LIMITS, "1"))
        # XLA's pool has as many threads, or one a device if those are more, and how it cuts a loop
        # depends on that: two processes of one device get the pool of one process of two
        result.setdefault("JAX_PLATFORMS", "cpu")  # also where there are GPUs, not for it
        result["NPROC"] = "1" if processes == 1 else str(slot.devices * processes)
    return result

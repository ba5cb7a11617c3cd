"""How many trials run at once on this machine, and what each of them is given."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inception_jax import startup

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")


@dataclass(frozen=True)
class Slot:
    """The share of the machine that one trial gets.

    Attributes:
        cores: ids of its processor cores; empty where they cannot be told apart.
        device: index of its GPU; None where it computes on its cores.
    """

    cores: tuple[int, ...] = ()
    device: int | None = None


def plan(jobs: int | None = None, memory_gb: float = 1.5) -> tuple[list[Slot], str]:
    """The slots of this machine and the reason for the choice.

    One trial a GPU where there are GPUs; else one trial a core, each pinned to its own, because
    small networks gain less from a second core than from a second trial. Fewer where the memory
    would not do, but never more than a core each: two cores round otherwise than one, and a
    trial's bits must not depend on how many others ran beside it.

    Args:
        jobs: how many at once, where the user knows better.
        memory_gb: what one trial needs.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = _gpus()
    if gpus and jobs is None:
        slots = [Slot(device=index) for index in range(gpus)]
        return slots, f"{gpus} at once, one for each GPU"
    if platform.machine() and _has_tpu() and jobs is None:
        return [Slot()], "one at a time, on the TPU"
    available = _available_gb()
    wanted = jobs or max(1, len(cores) or os.cpu_count() or 1)
    fitting = max(1, int(available / memory_gb)) if jobs is None else wanted
    count = min(wanted, fitting)
    slots = [Slot(cores=tuple(cores[i % len(cores) :][:1]) if cores else ()) for i in range(count)]
    limit = f", limited by {available:.0f} GB of free memory" if fitting < wanted else ""
    if gpus:
        return slots, f"{count} at once, as asked for"
    return slots, f"{count} at once, {'one core each' if cores else 'not pinned'}{limit}"


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


def environment(slot: Slot, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a trial in `slot`.

    A trial on CPU gets one XLA device and one thread for each library, wherever it runs, so that
    it gives the same bits; all share JAX's compilation cache: the seeds of an arm compile once.
    """
    result = dict(base)
    result.setdefault("JAX_COMPILATION_CACHE_DIR", str(startup.compilation_cache(base)))
    result.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    result.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    result["PYTHONUNBUFFERED"] = "1"
    if slot.device is not None:
        visible = [name for name in base.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        chosen = visible[slot.device] if visible else str(slot.device)
        result["CUDA_VISIBLE_DEVICES"] = chosen
        return result
    if not _has_tpu():
        flags = startup.flags(devices=1, available=1)
        result["XLA_FLAGS"] = startup.with_flags(base.get("XLA_FLAGS", ""), flags)
        result.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    return result

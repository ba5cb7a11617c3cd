"""What has to be decided before JAX starts: devices on a CPU, XLA's flags, how memory is kept.

On a CPU, `train` takes one XLA device with a thread a core, and `evaluate` a device a core, over
which a batch is split as over accelerators: what each was faster with. Neither changes a meaning:
batch norm takes its statistics over the whole batch, or over groups of `model.bn_group`, on any
number of devices. The figures behind each choice are in docs/performance.md.

The environment variable INCEPTION_JAX_CPU_DEVICES sets another number of devices; 0 leaves JAX
and the allocator as they come. XLA_FLAGS that name a number of devices are left alone.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
import time
import zlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from inception_jax import errors, processes

if TYPE_CHECKING:
    from ml_collections import ConfigDict

VARIABLE = "INCEPTION_JAX_CPU_DEVICES"
_DEVICES = "--xla_force_host_platform_device_count"
_THREADS = "--xla_cpu_multi_thread_eigen"
# Of devices, where nothing else is said: several exchange batch norm's sums 250 times a step, and
# each would do all of the optimizer's work.
_TRAINING = 1
# Small networks lose a quarter of their time to YNNPACK's fusions, and a little to a schedule meant
# for many threads (inception_small, 28 px: 74 ms a step with both, 55 ms without). XLA aborts on a
# flag that it does not know, so these are for the releases of jaxlib that they were measured on.
_TUNED_FLAGS = {
    "--xla_cpu_experimental_ynn_fusion_type": "",
    "--xla_cpu_enable_concurrency_optimized_scheduler": "false",
}
_TUNED_RELEASES = ("0.10.",)
# LLVM takes a third less time for a small network's step (24 instead of 35 s of a core for
# inception_small), which then is as fast: for trials, which may compile as long as they train.
QUICK_COMPILATION = {"--xla_backend_optimization_level": "1"}
# glibc gives every large buffer back to the system and asks for it again each step: a tenth to a
# fifth of a step goes into page faults. Numbers are M_* of malloc.h.
_KEEP_MEMORY = {
    -8: 1,  # M_ARENA_MAX: in any but the first a large buffer is mapped apart all the same
    -4: 0,  # M_MMAP_MAX: no buffer is mapped apart
    -1: -1,  # M_TRIM_THRESHOLD: nothing is given back
    -2: 64 * 2**20,  # M_TOP_PAD, bytes
}


def prepare(devices: int = 0, *, alone: bool = True) -> None:
    """Settle devices and memory of this process; without effect where JAX is loaded already.

    Args:
        devices: on a CPU; 0 is one a core.
        alone: whether the process has the machine for itself: of several of a run on one machine
            each keeps one device.

    Raises:
        UsageError: INCEPTION_JAX_CPU_DEVICES is not a number.
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted.isdecimal() and wanted:
        raise errors.UsageError(f"{VARIABLE} must be a number of devices, got {wanted!r}")
    if (wanted and not int(wanted)) or "jax" in sys.modules:
        return
    keep_memory()
    given = os.environ.get("XLA_FLAGS", "")
    if _DEVICES in given or not alone:
        return
    available = cores()
    count = int(wanted or devices) or available
    os.environ["XLA_FLAGS"] = with_flags(given, flags(count, available))


def prepare_for(config: ConfigDict, *, training: bool = True) -> None:
    """`prepare` for training by this config, or for evaluating batches of the same size."""
    default = _TRAINING if training else math.gcd(config.data.batch_size, cores())
    prepare(config.parallel.devices or default, alone=processes.of(config).here == 1)


def flags(devices: int, available: int) -> dict[str, str]:
    """XLA's flags for so many devices on so many cores.

    A device has a core for itself where there are as many; then it needs no threads of its own.
    """
    alone = {_THREADS: "false"} if devices >= available else {}
    return {**tuned_flags(metadata.version("jaxlib")), **alone, _DEVICES: str(devices)}


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_memory() -> None:
    """Makes glibc keep what a step frees for the next step; elsewhere nothing."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for parameter, value in _KEEP_MEMORY.items():
            library.mallopt(parameter, value)


def give_back() -> None:
    """Gives what glibc holds and nobody uses to the system; elsewhere nothing.

    Once, after a program's first call, whose buffers lie where no later call's fit: its next call
    takes others, and later ones those again.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        time.sleep(0.05)  # a call's own buffers are freed just after its results are there
        ctypes.CDLL(None).malloc_trim(0)


def tuned_flags(jaxlib: str) -> dict[str, str]:
    """XLA's flags that make a network fast on a core, for a version of jaxlib."""
    return _TUNED_FLAGS if jaxlib.startswith(_TUNED_RELEASES) else {}


def without_given(text: str, flags: Mapping[str, str]) -> dict[str, str]:
    """Of some XLA flags those that are not set already."""
    given = {flag.partition("=")[0] for flag in text.split()}
    return {name: value for name, value in flags.items() if name not in given}


def with_flags(text: str, flags: Mapping[str, str]) -> str:
    """XLA flags with some of them set, whatever they were."""
    kept = [flag for flag in text.split() if flag.partition("=")[0] not in flags]
    return " ".join([*kept, *(f"{name}={value}" for name, value in flags.items())])


def compilation_cache(environ: Mapping[str, str]) -> Path:
    """Folder of compiled programs: one for each kind of processor, for homes that are shared."""
    root = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "inception_jax" / "compiled" / processor()


def processor() -> str:
    """The kind of this machine's processor, as part of a name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    features = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    return f"{platform.machine()}-{zlib.crc32(''.join(features or lines[:1]).encode()):08x}"

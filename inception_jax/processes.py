"""What the environment tells of a run's processes: how many, which one, how many on this machine.

It is read before JAX starts, so nothing here imports it. The variables are those of SLURM's srun,
of Open MPI's mpirun and of TPU pods.
"""

from __future__ import annotations

import dataclasses
import glob
import importlib.util
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


@dataclasses.dataclass(frozen=True)
class Processes:
    """Of one run.

    Attributes:
        number: of all; 0 is unknown.
        index: of this one; -1 is unknown.
        here: of those on this machine; 0 is unknown.
    """

    number: int = 0
    index: int = -1
    here: int = 0


def told() -> Processes:
    """What SLURM or Open MPI says; unknown elsewhere."""
    value = os.environ.get
    if value("SLURM_STEP_NODELIST") and value("SLURM_PROCID"):
        tasks = value("SLURM_STEP_TASKS_PER_NODE") or value("SLURM_TASKS_PER_NODE") or ""
        here = _tasks(tasks, int(value("SLURM_NODEID", "0")))
        return Processes(int(value("SLURM_NTASKS", "1")), int(value("SLURM_PROCID", "0")), here)
    if value("OMPI_COMM_WORLD_SIZE"):
        names = ("SIZE", "RANK", "LOCAL_SIZE")
        number, index, here = (int(value(f"OMPI_COMM_WORLD_{name}", "0")) for name in names)
        return Processes(number, index, here)
    return Processes()


def _tasks(text: str, node: int) -> int:
    """Tasks of a node in SLURM's "2(x3),1": two on each of three nodes, then one."""
    for part in filter(None, text.split(",")):
        tasks, nodes = re.match(r"(\d+)(?:\(x(\d+)\))?", part).groups("1")  # pyright: ignore[reportOptionalMemberAccess]
        if node < int(nodes):
            return int(tasks)
        node -= int(nodes)
    return 0


def surrounded() -> bool:
    """Whether the environment says that this process is one of several (or on a TPU pod)."""
    value = os.environ.get
    if (number := told().number) or value("JAX_COORDINATOR_ADDRESS"):
        return number > 1 or bool(value("JAX_COORDINATOR_ADDRESS"))
    if value("MEGASCALE_COORDINATOR_ADDRESS") or "," in value("TPU_WORKER_HOSTNAMES", ""):
        return True
    if value("JAX_PLATFORMS", "tpu").split(",")[0] != "tpu":
        return False
    has_tpu = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    return bool(has_tpu) and importlib.util.find_spec("libtpu") is not None


def of(config: ConfigDict) -> Processes:
    """The processes of a run of this config, from its addresses and from the environment.

    Addresses win over the environment, and leave out what it tells. Without a word on how many are
    on this machine, processes that meet over loopback all are, and others are alone on theirs.
    """
    parallel, around = config.parallel, told()
    if not (parallel.coordinator or surrounded()) or parallel.coordinator == "none":
        return Processes(1, 0, 1)
    number = parallel.num_processes or around.number
    index = parallel.process_id if parallel.process_id >= 0 else around.index
    here = number if parallel.coordinator.startswith(_LOOPBACK) else around.here or 1
    return Processes(number, index, here)

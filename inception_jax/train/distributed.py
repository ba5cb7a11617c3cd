"""Several processes as one run: how they find each other, and what they have to agree on.

Every process runs the same program on its own share of the data; the state is the same on all.
Only the first process touches the workdir, so that no shared disk is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inception_jax import errors, processes
from inception_jax.processes import Processes

#: Steps between two meetings, at which signals and clocks are compared: each meeting waits for
#: the device, and a scheduler's grace period is longer than this.
MEETING = 10
#: Keys that may differ between the processes of a run, and between a run and its continuation.
ADDRESS_KEYS = {"coordinator": "", "num_processes": 0, "process_id": -1}


def start(config: ConfigDict) -> ConfigDict:
    """Join the run's other processes, if there are any; must come before the first use of JAX.

    `parallel.coordinator` is HOST:PORT of the first process, with `num_processes` and
    `process_id` beside it where SLURM or Open MPI do not tell them; "auto" lets JAX find all three
    (SLURM, Open MPI, TPU pods, GKE); "none" is one process. "" is "auto" where the environment
    tells of several processes. A process that is alone on its machine has all of its devices; of
    several on one machine, each has the one of its number there.

    Returns:
        The config without these addresses, equal on all processes.

    Raises:
        UserError: an address without its other two keys, or processes that do not meet.
    """
    parallel = config.parallel
    address = parallel.coordinator or ("auto" if processes.surrounded() else "none")
    if address != "none" and not jax.distributed.is_initialized():
        _join(address, processes.of(config))
    result = config.copy_and_resolve_references()
    result.parallel.update(ADDRESS_KEYS)
    return result


def _join(address: str, run: Processes) -> None:
    if address != "auto" and not 0 <= run.index < run.number:
        raise errors.UserError(
            f"parallel.coordinator is {address!r}, but parallel.process_id is {run.index} of "
            f"parallel.num_processes {run.number}; give every process its own number from 0"
        )
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # left alone, JAX gives a process under SLURM or Open MPI the one device of its number there
    every: dict[str, Any] = {"local_device_ids": ()} if run.here == 1 else {}
    try:
        if address == "auto":
            jax.distributed.initialize(**every)
        else:
            jax.distributed.initialize(address, run.number, run.index, **every)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:300]
        raise errors.UserError(
            f"the processes of this run did not meet ({reason}); check parallel.coordinator, or "
            "set it to none for a run of one process"
        ) from error


def is_first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


def shard() -> tuple[int, int]:
    """(index, number) of this process's share of the data."""
    return jax.process_index(), jax.process_count()


def meets(step: int) -> bool:
    """Whether the processes compare notes after this step; one process always does."""
    return jax.process_count() == 1 or step % MEETING == 0


def largest(value: int) -> int:
    """The largest of all processes' values, on all of them."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def union(found: dict[str, str]) -> dict[str, str]:
    """What any process has found, by key, on all of them."""
    if jax.process_count() == 1:
        return found
    from jax.experimental import multihost_utils

    mine = json.dumps(found).encode()
    most = largest(len(mine))
    padded = np.frombuffer(mine.ljust(most), np.uint8)
    each = np.asarray(multihost_utils.process_allgather(padded)).reshape(-1, most)
    merged: dict[str, str] = {}
    for content in each:
        merged |= json.loads(content.tobytes())
    return merged


def from_first(function: Callable[[], Any]) -> Any:
    """What `function` returns on the first process, JSON-able, on all of them; so too its error.

    Raises:
        UserError: the function did, on the first process.
    """
    if jax.process_count() == 1:
        return function()
    message: dict[str, Any] = {}
    failure: errors.UserError | None = None
    if is_first():
        try:
            message = {"value": function()}
        except errors.UserError as error:
            failure = error
            message = {"error": str(error), "kind": type(error).__name__}
    message = json.loads(broadcast(json.dumps(message).encode()))
    if failure is not None:
        raise failure
    if "error" in message:
        raise getattr(errors, message["kind"], errors.UserError)(message["error"])
    return message["value"]


def broadcast(content: bytes) -> bytes:
    """The first process's bytes on all of them."""
    from jax.experimental import multihost_utils

    length = int(multihost_utils.broadcast_one_to_all(np.int64(len(content)).astype(np.int32)))
    mine = np.frombuffer(content, np.uint8) if is_first() else np.zeros(length, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(mine)).tobytes()


def same_everywhere(tree: Any) -> Any:
    """The first process's arrays on all of them, bit for bit; shapes and types are the same."""
    if jax.process_count() == 1:
        return tree

    def sent(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        # as bytes: a sum over processes, which JAX sends by, would turn -0.0 into 0.0
        return np.frombuffer(broadcast(array.tobytes()), array.dtype).reshape(array.shape)

    return jax.tree.map(sent, tree)

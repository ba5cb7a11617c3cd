"""The Ray launcher: each process of a trial is a Ray task that watches a process of its own.

Trials see the study's folder at the same path on every machine, or have one in a store that all
of them reach. Ray carries text alone: what comes back is parsed as JSON.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Unpack

from inception_jax import errors, startup
from inception_jax.study import child, exits
from inception_jax.study.attempt import Attempt, Pool, Shared
from inception_jax.study.child import Work
from inception_jax.study.exits import Exit
from inception_jax.study.machine import Slot

_STOP_SECONDS = 20.0
_LOOK_SECONDS = 1.0  # between two looks at what the cluster has


@dataclass
class _Task:
    refs: list[Any]
    group: Any = None
    exits: dict[int, Exit] = field(default_factory=dict)
    cancelled: bool = False
    process: int = 0


def _run(text: str, rank: int, devices: int, accelerated: bool, coordinator: str) -> str:
    """One process of an attempt, on a Ray worker; its exit as JSON."""
    share = Slot(devices=devices, accelerated=accelerated)
    return child.run(child.work_from_json(text), share, rank, coordinator).to_json()


def _coordinator() -> str:
    """Where the processes of a trial meet: on the machine that this runs on."""
    import ray  # pyright: ignore[reportMissingImports]

    return f"{ray.util.get_node_ip_address()}:{child.free_port()}"


class OnRay(Pool[_Task]):
    """Runs trials on a Ray cluster, or on a Ray of its own on this machine."""

    def __init__(self, address: str | None = None, **shared: Unpack[Shared]) -> None:
        """Connects to nothing yet.

        Args:
            address: HOST:PORT, ray://HOST:PORT or "auto"; None starts a Ray on this machine.
            shared: see `Pool`.

        Raises:
            UserError: Ray is not installed.
        """
        super().__init__(**shared)
        try:
            import ray  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise errors.UserError(
                "--launcher ray needs Ray: pip install 'inception-jax[ray]'"
            ) from None
        self._ray: Any = ray
        self._address = address
        self._own = False
        self._fitting, self._looked = 0, 0.0

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves beside other work
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        own = {"num_cpus": startup.cores(), "include_dashboard": False}
        try:
            if self._address:
                self._ray.init(address=self._address, **quiet)
            else:
                self._start({**own, **quiet})
        except Exception as error:  # Ray raises bare ones, too, as when a node is slow to start
            where = f"Ray at {self._address}" if self._address else "a Ray on this machine"
            reason = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise errors.UserError(f"cannot use {where}: {reason}") from None
        self._own = True

    def _start(self, options: dict[str, Any]) -> None:
        """Starts a Ray here; a machine with much else to do may take longer than Ray waits."""
        try:
            self._ray.init(address="local", **options)
        except Exception:  # a bare one
            self._ray.shutdown()
            self._ray.init(address="local", **options)

    def close(self) -> None:
        """Leaves the cluster, or ends the Ray that was started here."""
        if self._own and self._ray.is_initialized():
            self._ray.shutdown()
        self._own = False

    def _resources(self) -> dict[str, float]:
        needs, memory = self.needs, self._memory_gb * 1e9
        given = {"CPU": needs.cpus, "GPU": needs.gpus, "TPU": needs.tpus, "memory": memory}
        return {name: amount for name, amount in given.items() if amount}

    def slots(self) -> int:
        """How many trials the cluster has room for; nodes may come and go."""
        now = time.monotonic()
        if not self._looked or now - self._looked > _LOOK_SECONDS:
            self._connect()
            self._looked = now
            wanted = self._resources()
            shares = sum(
                int(min(node["Resources"].get(name, 0) / amount for name, amount in wanted.items()))
                for node in self._ray.nodes()
                if node["Alive"]
            )
            self._fitting = shares // self.needs.processes
        return self._jobs or max(1, self._fitting)

    def describe(self) -> str:
        """What the cluster has."""
        count = self.slots()
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        where = f"Ray at {self._address}" if self._address else "a Ray of its own"
        if not self._fitting:
            return f"waiting for a place for {self.needs} on {where} ({nodes} nodes)"
        return f"{count} at once, {self.needs} each, on {where} ({nodes} nodes)"

    def room(self, running: int) -> int:
        """Trials that the cluster could take."""
        return self.slots() - running

    def start(self, attempts: Sequence[Attempt], works: Sequence[Work]) -> list[_Task]:
        """Hands attempts to Ray."""
        del attempts
        self._connect()
        return [self._submit(work) for work in works]

    def _submit(self, work: Work) -> _Task:
        needs, count = self.needs, work.processes
        resources = self._resources()
        group = None
        options: dict[str, Any] = {
            "max_retries": 0,  # attempts are counted by the study
            "num_cpus": resources.pop("CPU"),
            "num_gpus": resources.pop("GPU", 0),
            "memory": resources.pop("memory"),
            "resources": resources,
        }
        places: list[dict[str, Any]] = [{}]
        coordinator: Any = ""
        if count > 1:
            group = self._ray.util.placement_group([self._resources()] * count)
            strategy = self._ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
            places = [
                {"scheduling_strategy": strategy(group, placement_group_bundle_index=rank)}
                for rank in range(count)
            ]
            light = self._ray.remote(_coordinator).options(num_cpus=0, max_retries=0, **places[0])
            coordinator = light.remote()
        run = self._ray.remote(_run)
        text = work.to_json()
        refs = [
            run.options(**options, **place).remote(
                text, rank, needs.cpus, needs.accelerated, coordinator
            )
            for rank, place in enumerate(places)
        ]
        return _Task(refs, group)

    def look(self, handle: _Task) -> Exit | Literal["running"]:
        """Where an attempt stands; one process that fails ends the others."""
        left = [ref for rank, ref in enumerate(handle.refs) if rank not in handle.exits]
        ready, _ = self._ray.wait(left, num_returns=len(left), timeout=0)
        for ref in ready:
            handle.exits[handle.refs.index(ref)] = self._exit(ref, handle.cancelled)
        found = list(handle.exits.values())
        if any(ended.bad for ended in found) and not handle.cancelled:
            self._cancel(handle)
        if len(handle.exits) < len(handle.refs):
            return "running"
        self._let_go(handle)
        return exits.cause(found)

    def _exit(self, ref: Any, cancelled: bool) -> Exit:
        """What a task gave, or what became of it."""
        exceptions = self._ray.exceptions
        try:
            return exits.from_json(self._ray.get(ref))
        except exceptions.TaskCancelledError:
            return Exit(reason=exits.FOLLOWED, lost=not cancelled)
        except exceptions.RayTaskError as error:
            cause = str(error.cause or error).strip().splitlines() or [type(error).__name__]
            return Exit(reason=f"its worker failed: {cause[-1][:300]}")
        except exceptions.OutOfMemoryError:
            return Exit(reason="out of memory: ended by Ray, whose node ran short")
        except exceptions.RayError as error:
            return Exit(reason=f"its worker was lost ({type(error).__name__})", lost=True)
        except ValueError as error:
            return Exit(reason=f"its worker gave no exit: {error}")

    def _cancel(self, handle: _Task, force: bool = False) -> None:
        handle.cancelled = True
        for rank, ref in enumerate(handle.refs):
            if rank not in handle.exits:
                self._ray.cancel(ref, force=force)

    def _let_go(self, handle: _Task) -> None:
        if handle.group is not None:
            self._ray.util.remove_placement_group(handle.group)
            handle.group = None

    def stop(self, handles: Sequence[_Task]) -> None:
        """Ends attempts: asks, waits, then insists."""
        if not handles or not self._ray.is_initialized():
            return
        for handle in handles:
            self._cancel(handle)
        refs = [ref for handle in handles for ref in handle.refs]
        _, left = self._ray.wait(refs, num_returns=len(refs), timeout=_STOP_SECONDS)
        for handle in handles:
            if any(ref in left for ref in handle.refs):
                self._cancel(handle, force=True)
            self._let_go(handle)

"""What one process of a trial is given, and how many processes a trial has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from inception_jax import errors


@dataclass(frozen=True)
class Needs:
    """The share of a machine for each process of a trial.

    Attributes:
        cpus: processor cores; on a CPU also the number of XLA devices of the process, and so part
            of what a trial's last bits depend on: two processes of one core each give the bits of
            one process of two.
        gpus: GPUs.
        tpus: TPU chips.
        memory: GB; a trial whose processes on one machine hold more is ended. 0 is no limit.
        processes: of a trial; more than one meet through `jax.distributed`.
    """

    cpus: int = 1
    gpus: int = 0
    tpus: int = 0
    memory: float = 0.0
    processes: int = 1

    @property
    def accelerated(self) -> bool:
        """Whether the trial computes on GPUs or TPUs."""
        return bool(self.gpus or self.tpus)

    def __str__(self) -> str:
        parts = [f"{self.cpus} {'core' if self.cpus == 1 else 'cores'}"]
        parts += [f"{self.gpus} GPU"] if self.gpus else []
        parts += [f"{self.tpus} TPU"] if self.tpus else []
        share = " and ".join(parts)
        return share if self.processes == 1 else f"{self.processes} processes of {share}"


_LEAST = {"cpus": 1, "gpus": 0, "tpus": 0, "memory": 0, "processes": 1}


def parse(text: str | None) -> Needs:
    """`cpus=2,gpus=1` as Needs; what is not named has its default.

    Raises:
        UsageError: an unknown name, or a value that is no number or too small.
    """
    kinds: dict[str, type[int] | type[float]] = {
        field.name: float if field.name == "memory" else int for field in dataclasses.fields(Needs)
    }
    values: dict[str, int | float] = {}
    for word in (text or "").split(","):
        if not word.strip():
            continue
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in kinds:
            raise errors.unknown("need", name, kinds)
        try:
            values[name] = kinds[name](value)
        except ValueError:
            raise errors.UsageError(
                f"--needs {name} must be a number, got {value!r}; as in --needs cpus=2,gpus=1"
            ) from None
        if not values[name] >= _LEAST[name]:
            raise errors.UsageError(f"--needs {name} must be at least {_LEAST[name]}, got {value}")
    return Needs(**values)  # pyright: ignore[reportArgumentType]

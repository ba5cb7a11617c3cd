"""Devices as a one-dimensional mesh over which the batch is split."""

from __future__ import annotations

import collections
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from inception_jax import errors, startup

AXIS = "data"


def create(config: ConfigDict) -> Mesh:
    """The mesh of `config.parallel.devices` devices (0 is all of them) along the axis "data".

    Raises:
        UserError: more devices than there are, other numbers of them on other processes, or
            training batches that they cannot share evenly.
    """
    # each process holds its part of a batch in one piece
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    count = config.parallel.devices or len(devices)
    if count > len(devices):
        raise errors.UserError(
            f"parallel.devices is {count}, but JAX sees {len(devices)} "
            f"({devices[0].platform}); lower it, or set 0 to use all"
        )
    if count < len(devices) and jax.process_count() > 1:
        raise errors.UserError(
            f"parallel.devices is {count} of {len(devices)}, but a run of several processes uses "
            "all of them; set 0"
        )
    each = sorted(collections.Counter(device.process_index for device in devices).values())
    if each[0] != each[-1]:
        raise errors.UserError(
            f"the processes of this run have between {each[0]} and {each[-1]} devices; give each "
            f"the same number (on CPUs: {startup.VARIABLE}={each[0]})"
        )
    pieces = count * config.train.accumulate
    if config.data.batch_size % pieces:
        raise errors.UserError(
            f"data.batch_size {config.data.batch_size} is not divisible by {pieces} "
            f"({count} devices"
            f"{' x train.accumulate' if pieces != count else ''}); change one of them"
        )
    return Mesh(np.asarray(devices[:count]), (AXIS,))


def of_all() -> Mesh:
    """Every device, for batches that are filled up to a multiple of them."""
    return Mesh(np.asarray(jax.devices()), (AXIS,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same values on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis divided among the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def filled(size: int, mesh: Mesh) -> int:
    """The next size of an evaluation's batches that the devices share evenly."""
    return -(-size // mesh.size) * mesh.size


def put(batch: dict[str, Any], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's share of a batch as arrays of the whole batch, split over the mesh."""
    sharding = split(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, np.asarray(values))
        for name, values in batch.items()
    }

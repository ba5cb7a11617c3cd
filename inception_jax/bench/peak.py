"""The fastest that devices multiply matrices and move numbers: what a step is measured against."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Side of the matrices: large enough to reach the peak, small enough to take milliseconds.
_SIDES = {"cpu": 1024}
_SIDE = 8192
_NUMBERS = 2**26  # of float32: 256 MB
_ROUNDS = 5


def matrix_product_peak(mesh: Mesh, dtype: Any = jnp.float32) -> float:
    """FLOP/s of square matrix products, over all devices of a mesh at once.

    Every device multiplies matrices of its own; the best of a few rounds counts. In several
    processes all must call it.

    Args:
        mesh: of one axis.
        dtype: of the factors; sums are float32 on accelerators, whatever XLA uses by default.
    """
    side = _SIDES.get(mesh.devices.flat[0].platform, _SIDE)
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    # random, as chips run faster on numbers that switch few bits
    make = jax.jit(
        lambda: jax.random.normal(jax.random.key(0), (mesh.size, side, side), dtype) / side**0.5,
        out_shardings=sharding,
    )
    product = jax.jit(lambda a, b: jnp.einsum("dij,djk->dik", a, b), out_shardings=sharding)
    a = make()
    product(a, a).block_until_ready()
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return mesh.size * 2.0 * side**3 / best


def memory_peak(mesh: Mesh) -> float:
    """Bytes a second that all devices of a mesh at once read and write, in arrays past any cache.

    The best of a few rounds of adding two arrays counts: two are read, one is written.

    Args:
        mesh: of one axis.
    """
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    make = jax.jit(lambda: jnp.ones((mesh.size, _NUMBERS), jnp.float32), out_shardings=sharding)
    add = jax.jit(jnp.add, donate_argnums=0)
    total, other = make(), make()
    best = float("inf")
    for _ in range(1 + _ROUNDS):
        start = time.perf_counter()
        total = add(total, other).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return mesh.size * 3.0 * 4 * _NUMBERS / best


def training_flops(macs: int) -> float:
    """FLOP of one image's forward and backward pass, from the forward pass's MACs.

    A MAC is two FLOP, and the backward pass makes two products of the same size as each of the
    forward pass's. (The first layer needs but one of the two: a per cent or less.)
    """
    return 6.0 * macs

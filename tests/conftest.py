"""Settings that every test runs under."""

from __future__ import annotations

import os

# Two devices on any machine, so that the sharded path is the one under test.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

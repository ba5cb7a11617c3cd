"""The `inception-jax` command: one module a subcommand, loaded only when it is called."""

from __future__ import annotations

from inception_jax.cli.main import main

__all__ = ["main"]

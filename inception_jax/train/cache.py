"""JAX's persistent compilation cache: seeds of one arm compile their program once."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def enable() -> None:
    """Keep compiled programs in the user's cache folder, unless JAX was told where."""
    if jax.config.values.get("jax_compilation_cache_dir"):  # also set by JAX_COMPILATION_CACHE_DIR
        return
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(base / "inception_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

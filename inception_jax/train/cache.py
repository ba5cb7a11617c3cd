"""JAX's persistent compilation cache: seeds of one arm compile their program once."""

from __future__ import annotations

import os

import jax

from inception_jax import startup


def enable() -> None:
    """Keep compiled programs in the user's cache folder, unless JAX was told where or not to."""
    if jax.config.values.get("jax_compilation_cache_dir"):  # also set by JAX_COMPILATION_CACHE_DIR
        return
    folder = startup.compilation_cache(os.environ)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

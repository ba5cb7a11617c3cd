"""inception_jax: the ablations of "Rethinking the Inception Architecture" in JAX and Flax.

The subpackages load on first use, so that `inception-jax --help` waits for nothing:

    from inception_jax import cost, models, study
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inception_jax import config, cost, data, evaluate, models, ops, study, train, weights

__version__ = "0.1.0"
__all__ = ["config", "cost", "data", "evaluate", "models", "ops", "study", "train", "weights"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

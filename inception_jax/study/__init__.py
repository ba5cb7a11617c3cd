"""Studies: arms times seeds, run in processes of their own, compared pair by pair, and reported.

from inception_jax import study

study.compare([0.71, 0.73, 0.72], [0.70, 0.71, 0.70]).verdict
study.run("factorization", workdir="runs/factorization")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inception_jax.study.definition import Arm, CostClaim, Question, Study, load, names
    from inception_jax.study.runner import run
    from inception_jax.study.stats import Comparison, compare

__all__ = [
    "Arm",
    "Comparison",
    "CostClaim",
    "Question",
    "Study",
    "compare",
    "load",
    "names",
    "run",
]

# A trial is a process that imports a module of this package: it is not to wait for the rest.
_MODULES = {"run": "runner", "compare": "stats", "Comparison": "stats"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'definition')}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

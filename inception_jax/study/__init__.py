"""Studies: arms times seeds, run in processes of their own, compared pair by pair, and reported.

from inception_jax import study

study.compare([0.71, 0.73, 0.72], [0.70, 0.71, 0.70]).verdict
study.run("factorization", workdir="runs/factorization")
"""

from __future__ import annotations

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

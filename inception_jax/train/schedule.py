"""Learning rate of every step, computed on the host.

It reaches the compiled step as an argument, so that runs which differ in the rate, its schedule
or their length share one compiled program.
"""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from inception_jax import errors


def _constant(step: np.ndarray, optim: ConfigDict, derived: ConfigDict) -> np.ndarray:
    return np.ones_like(step)


def _cosine(step: np.ndarray, optim: ConfigDict, derived: ConfigDict) -> np.ndarray:
    length = max(derived.steps - derived.warmup_steps, 1)
    progress = np.clip((step - derived.warmup_steps) / length, 0.0, 1.0)
    return 0.5 * (1.0 + np.cos(np.pi * progress))


def _exponential(step: np.ndarray, optim: ConfigDict, derived: ConfigDict) -> np.ndarray:
    every = max(round(optim.decay_epochs * derived.steps_per_epoch), 1)
    return optim.decay_rate ** (step // every if optim.staircase else step / every)


_SHAPES = {"constant": _constant, "cosine": _cosine, "exponential": _exponential}


def rates(optim: ConfigDict, derived: ConfigDict) -> np.ndarray:
    """The learning rates f32[steps]: warm-up times shape times the peak.

    The warm-up is linear and its first step is not zero: step t of w has (t + 1) / w of the peak.
    "exponential" is the paper's (section 8: times 0.94 every two epochs), as a staircase or
    smoothly (`optim.staircase`), counted from the first step. "cosine" falls to zero at the end.

    Args:
        optim: `config.optim`.
        derived: `config.derived` of `config.resolve`.

    Raises:
        UsageError: unknown schedule.
    """
    if optim.schedule not in _SHAPES:
        raise errors.unknown("schedule (config key optim.schedule)", optim.schedule, _SHAPES)
    step = np.arange(derived.steps, dtype=np.float64)
    warmup = np.minimum((step + 1.0) / max(derived.warmup_steps, 1), 1.0)
    shape = _SHAPES[optim.schedule](step, optim, derived)
    return (optim.learning_rate * warmup * shape).astype(np.float32)

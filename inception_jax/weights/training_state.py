"""What a checkpoint of a run holds besides weights: averages of them, an optimizer's state."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from inception_jax import errors
from inception_jax.weights.rules import Rules

# TensorFlow's name for the average of a variable; readers of other formats give theirs the same
AVERAGE = "/ExponentialMovingAverage"


def settle(
    label: str, chosen: Rules, tensors: Mapping[str, Any], ema: bool, notes: list[str]
) -> dict[str, Any]:
    """The weights among the tensors of a checkpoint, the averaged ones where asked for.

    Args:
        label: the file, as messages call it.
        chosen: the source's rules.
        tensors: everything that the file holds.
        ema: take the average of a tensor where there is one.
        notes: is told what was left out.

    Raises:
        UserError: averages are asked for and there are none.
    """
    patterns = chosen.layout.training_state
    state = {n for n in tensors if any(fnmatch.fnmatchcase(n, p) for p in patterns)}
    weights = {name: value for name, value in tensors.items() if name not in state}
    averages = {n.removesuffix(AVERAGE): v for n, v in weights.items() if n.endswith(AVERAGE)}
    found = {name: value for name, value in weights.items() if not name.endswith(AVERAGE)}
    if state:
        notes.append(
            f"{label} is a run's checkpoint: {len(state)} tensors of its optimizer left out"
        )
    if ema and not averages:
        raise errors.UserError(f"{label} has no averaged weights; leave out ema")
    if ema:
        notes.append(f"averaged weights: {len(averages)} of {len(found.keys() | averages)}")
        return found | averages
    if averages:
        notes.append(f"{label} has averages of {len(averages)} tensors too: ema takes them")
    return found

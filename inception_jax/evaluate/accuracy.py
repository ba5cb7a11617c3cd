"""Exact top-1, top-5 and loss over all examples of a split, each counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax import errors, files
from inception_jax.train import mesh as meshes

_FIELDS = ("label", "prediction", "probability", "loss", "rank")


@dataclass(frozen=True)
class Scores:
    """What a network says about each of N examples, in the order of the split.

    Attributes:
        label: int32[N], true class.
        prediction: int32[N], the class with the largest logit.
        probability: f32[N], of the true class.
        loss: f32[N], cross-entropy without label smoothing, nats.
        rank: int32[N], classes before the true one; at least that of all classes, and 5, where a
            logit is not finite.
        excluded: bool[N], on `data.blacklist`; None where there is none.
    """

    label: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray
    loss: np.ndarray
    rank: np.ndarray
    excluded: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def top(self, k: int) -> float:
        """Fraction of the examples whose true class is among the first k (or all, if fewer)."""
        return int((self.rank < k).sum()) / len(self)

    def summary(self) -> dict[str, float]:
        """Loss, top1 and top5 as fractions, and the number of examples.

        With a blacklist, the same of the examples that are not on it, as `kept_loss` and so on,
        and how much more that is than over all of them, as `kept_loss_difference`.
        """
        loss = float(self.loss.astype(np.float64).mean())
        values = {"loss": loss, "top1": self.top(1), "top5": self.top(5), "examples": len(self)}
        if self.excluded is None:
            return values
        kept = self.kept().summary()
        more = {
            f"{name}_difference": kept[name] - values[name] for name in ("loss", "top1", "top5")
        }
        return values | {f"kept_{name}": value for name, value in (kept | more).items()}

    def kept(self) -> Scores:
        """The scores of the examples that are not on the blacklist.

        Raises:
            UserError: all of them are.
        """
        keep = np.ones(len(self), bool) if self.excluded is None else ~self.excluded
        if not keep.any():
            raise errors.UserError("data.blacklist lists every image of the test split")
        return Scores(**{name: getattr(self, name)[keep] for name in _FIELDS})


def save(path: Path, last: Scores, averaged: Scores | None = None) -> None:
    """Write predictions.npz: label, and prediction, rank and probability of the true class.

    Those of the averaged parameters are `ema_prediction`, `ema_rank` and `ema_probability`.

    Raises:
        UserError: it cannot be written.
    """
    kinds = {"": last} | ({"ema_": averaged} if averaged is not None else {})
    columns: dict[str, Any] = {"label": last.label}
    for prefix, scores in kinds.items():
        for name in ("prediction", "rank", "probability"):
            columns[prefix + name] = getattr(scores, name)
    files.write_whole(path, lambda file: np.savez_compressed(file, **columns))


def evaluate(
    step_function: Callable[..., Any],
    variables: Any,
    batches: Iterable[dict[str, Any]],
    mesh: Mesh,
) -> Scores:
    """Score every example that is not masked out.

    Args:
        step_function: of `train.step.eval_step`.
        variables: {"params", "batch_stats"}, on the mesh or on the host.
        batches: {"image", "label", "mask"}; the mask is False for padding.
        mesh: over which the batches are split.

    Raises:
        ValueError: no example at all.
    """
    pieces: list[dict[str, np.ndarray]] = []
    waiting: Any = None
    for batch in batches:
        result = step_function(variables, meshes.put(batch, mesh))
        if waiting is not None:  # fetched one batch late, so that the device is never idle
            pieces.append(_unmasked(waiting))
        waiting = result
    if waiting is not None:
        pieces.append(_unmasked(waiting))
    if not sum(len(piece["label"]) for piece in pieces):
        raise ValueError("nothing to evaluate: the split has no examples")
    names = [name for name in (*_FIELDS, "excluded") if name in pieces[0]]
    return Scores(**{name: np.concatenate([piece[name] for piece in pieces]) for name in names})


def _unmasked(result: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    fetched = jax.device_get(result)
    return {name: values[fetched["mask"]] for name, values in fetched.items() if name != "mask"}

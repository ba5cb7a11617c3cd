"""Probabilities of every class for every example, and what is read from them."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax import errors, files
from inception_jax.evaluate.accuracy import Scores
from inception_jax.evaluate.calibration import expected_calibration_error

SUFFIXES = (".npz", ".csv")
_TINY = np.finfo(np.float32).tiny  # a probability that is 0 or NaN counts as this in the loss


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What one network, or several together, say about each of N examples of a split.

    Attributes:
        label: int32[N], true class.
        probability: f32[N, K] of the K classes; NaN where a logit was not finite.
        excluded: bool[N], on `data.blacklist`; None where there is none.
    """

    label: np.ndarray
    probability: np.ndarray
    excluded: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def scores(self) -> Scores:
        """Rank and loss of the true class; among equals the lower index is first."""
        label = self.label[:, None]
        true = np.take_along_axis(self.probability, label, axis=1)
        index = np.arange(self.probability.shape[1])[None, :]
        before = (self.probability > true) | ((self.probability == true) & (index < label))
        rank = before.sum(axis=1, dtype=np.int32)
        rank[np.isnan(self.probability).any(axis=1)] = self.probability.shape[1]
        return Scores(
            label=self.label,
            prediction=self.probability.argmax(axis=1).astype(np.int32),
            probability=true[:, 0],
            loss=-np.log(np.fmax(true[:, 0], _TINY)),
            rank=rank,
            excluded=self.excluded,
        )

    def summary(self) -> dict[str, float]:
        """As `Scores.summary`, with the expected calibration error as `ece`."""
        ece = expected_calibration_error(self.probability.max(axis=1), self.scores().rank == 0)
        return self.scores().summary() | {"ece": ece}

    def per_class(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """For every class: examples, top1 and top5 (None without examples), times predicted."""
        scores = self.scores()
        classes = self.probability.shape[1]
        count = np.bincount(self.label, minlength=classes)
        predicted = np.bincount(scores.prediction, minlength=classes)
        top1, top5 = (
            np.bincount(self.label[scores.rank < k], minlength=classes) / np.maximum(count, 1)
            for k in (1, 5)
        )
        return [
            {
                "class": index,
                "name": names[index] if index < len(names) else "",
                "examples": int(count[index]),
                "top1": float(top1[index]) if count[index] else None,
                "top5": float(top5[index]) if count[index] else None,
                "predicted": int(predicted[index]),
            }
            for index in range(classes)
        ]

    def table(self, top: int = 0) -> dict[str, np.ndarray]:
        """The columns that `save` writes.

        Args:
            top: how many classes, the most probable first; 0 is all.

        Returns:
            id int64[N] (place in the split), label int32[N], rank int32[N] of the true class,
            classes int32[N, top], probability f32[N, top] of these; and excluded bool[N].
        """
        order = np.argsort(-self.probability, axis=1, kind="stable")[:, : top or None]
        columns = {
            "id": np.arange(len(self)),
            "label": self.label,
            "rank": self.scores().rank,
            "classes": order.astype(np.int32),
            "probability": np.take_along_axis(self.probability, order, axis=1),
        }
        return columns | ({} if self.excluded is None else {"excluded": self.excluded})

    def save(self, path: Path, top: int = 0) -> None:
        """Writes FILE.npz or FILE.csv, whole or not at all, with the columns of `table`.

        Raises:
            UsageError: another kind of file.
            UserError: it cannot be written.
        """
        check_suffix(path)
        columns: dict[str, Any] = self.table(top)
        if path.suffix == ".npz":
            files.write_whole(path, lambda file: np.savez_compressed(file, **columns))
        else:
            files.write_text(path, _csv(columns))


def check_suffix(path: Path) -> None:
    """Says whether predictions can be saved in such a file.

    Raises:
        UsageError: no; names the kinds.
    """
    if path.suffix not in SUFFIXES:
        raise errors.UsageError(f"cannot save predictions as {path}; use .npz or .csv")


def _csv(columns: dict[str, np.ndarray]) -> str:
    """One line an example; class1 is the most probable class and probability1 its probability."""
    flat: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            flat[name] = values
            continue
        stem = {"classes": "class"}.get(name, name)
        flat |= {f"{stem}{k + 1}": values[:, k] for k in range(values.shape[1])}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(flat)
    writer.writerows(zip(*(values.tolist() for values in flat.values()), strict=True))
    return buffer.getvalue()


def together(members: Sequence[Predictions]) -> Predictions:
    """An ensemble: the mean of its members' probabilities.

    Raises:
        ValueError: the members saw other examples or classes.
    """
    first = members[0]
    for other in members[1:]:
        same = other.probability.shape == first.probability.shape
        if not same or not np.array_equal(other.label, first.label):
            raise ValueError("the members of an ensemble saw other examples or classes")
    total = np.zeros(first.probability.shape, np.float64)
    for member in members:
        total += member.probability
    return dataclasses.replace(first, probability=(total / len(members)).astype(np.float32))

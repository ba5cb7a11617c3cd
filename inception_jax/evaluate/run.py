"""An evaluation from the folders of finished runs to a small JSON file in the first of them."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as configs
from inception_jax import data, errors, files
from inception_jax.data import views
from inception_jax.evaluate import members
from inception_jax.evaluate.calibration import BINS
from inception_jax.evaluate.members import CHECKPOINTS, WEIGHTS, Member
from inception_jax.evaluate.predictions import Predictions, together
from inception_jax.train import cache, result

FOLDER = "evaluations"
SPLITS = ("test", "validation", "train")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How runs are evaluated.

    Attributes:
        crops: 1, 12 or 144 (`data.views`).
        weights: "raw", "ema" or "both", the averages where they were kept.
        checkpoint: "last", or "best" on validation.
        split: "test", "validation" or "train".
        overrides: of `data.*` in the config; `data.name` is another data set.
    """

    crops: int = 1
    weights: str = "both"
    checkpoint: str = "last"
    split: str = "test"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value, known in (
            ("number of crops", str(self.crops), tuple(map(str, views.COUNTS))),
            ("kind of weights", self.weights, (*WEIGHTS, "both")),
            ("checkpoint", self.checkpoint, CHECKPOINTS),
            ("split", self.split, SPLITS),
        ):
            if value not in known:
                raise errors.unknown(what, value, known)
        for key in self.overrides:
            if not key.startswith("data."):
                raise errors.UsageError(f"{key} is fixed by the run; only data.* can be set here")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        predictions: of all members together, by kind of their variables.
        members: what each member scores alone, in the order of their folders.
        class_names: of the data set.
        record: all but the predictions, as it is written.
    """

    predictions: Mapping[str, Predictions]
    members: Sequence[Mapping[str, Mapping[str, float]]]
    class_names: Sequence[str]
    record: Mapping[str, Any]


def evaluate(
    folders: Sequence[Path],
    protocol: Protocol,
    follow: Callable[[Iterable[Any], int], Iterable[Any]] = lambda batches, number: batches,
) -> Evaluation:
    """Evaluates one finished run, or several as an ensemble.

    Each member sees the images as it was trained (size, crop, interpolation); the data set is that
    of the first. Probabilities are averaged over the crops of a member, then over the members.

    Args:
        folders: of finished runs.
        protocol: what is evaluated on what.
        follow: wraps the batches to show how far they are.

    Raises:
        UserError: a folder without what is asked for, or members or data that do not fit together.
    """
    cache.enable()
    started = time.monotonic()
    opened = [_open(folder, protocol) for folder in folders]
    dataset = data.load(opened[0].config.data)
    dataset.source(protocol.split)  # says whether there is one before anything is compiled
    kinds = [kind for kind in WEIGHTS if all(kind in member.variables for member in opened)]
    each = [members.predict(m, dataset, protocol.split, protocol.crops, follow) for m in opened]
    whole = {kind: together([predictions[kind] for predictions in each]) for kind in kinds}
    alone = [{kind: predictions[kind].summary() for kind in kinds} for predictions in each]
    record = {
        "data": dataset.name,
        "split": protocol.split,
        "examples": len(next(iter(whole.values()))),
        "crops": protocol.crops,
        "checkpoint": protocol.checkpoint,
        "results": {kind: predictions.summary() for kind, predictions in whole.items()},
        "members": [_about(member, values) for member, values in zip(opened, alone, strict=True)],
        "calibration_bins": BINS,
        "finished": result.now(),
        "seconds": round(time.monotonic() - started, 3),
        "versions": result.versions(),
        "commit": result.commit(),
        "machine": result.machine(),
    }
    return Evaluation(whole, alone, dataset.class_names, record)


def _open(folder: Path, protocol: Protocol) -> Member:
    member = members.open_member(folder, protocol.weights, protocol.checkpoint)
    config = member.config.copy_and_resolve_references()
    if protocol.overrides.get("data.name", config.data.name) != config.data.name:
        with config.unlocked():
            config.data.options = ConfigDict()  # the old ones are another data set's
        config.data.options.unlock()
    return dataclasses.replace(member, config=configs.apply(config, protocol.overrides))


def _about(member: Member, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    sha256 = member.record["params_sha256"]
    return {"workdir": str(member.folder), "params_sha256": sha256, "results": scores}


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Writes the record to FOLDER/evaluations, whole or not at all, and returns its path.

    The name tells the protocol, so that one does not replace another.

    Raises:
        UserError: it cannot be written.
    """
    record = evaluation.record
    parts = [record["data"], record["split"], f"{record['crops']}crops", record["checkpoint"]]
    if len(record["members"]) > 1:
        parts.append(f"{len(record['members'])}models")
    name = "-".join(re.sub(r"[^\w.+]", "_", str(part)) for part in parts)
    path = folder / FOLDER / f"{name}.json"
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise errors.UserError(f"cannot make {path.parent}: {error.strerror or error}") from error
    files.write_text(path, json.dumps(record, indent=2) + "\n")
    return path

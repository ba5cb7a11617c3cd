"""A trial that trains nothing: it evaluates trials of other arms, with crops or as an ensemble."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as configs
from inception_jax.evaluate import accuracy
from inception_jax.evaluate import run as evaluation
from inception_jax.train import result


def run(config: ConfigDict, workdir: Path, members: Sequence[Path]) -> dict[str, Any]:
    """Evaluates finished runs on the test split as `config.eval` says, or returns what it gave.

    Writes predictions.npz and then result.json, as a run that was trained does: `metrics` has
    test_top1, test_top5, test_loss and test_ece of this evaluation, `params_sha256` is a digest of
    the members' and of the protocol, and `members` says which runs they were.

    Args:
        config: of the trial; `eval.crops` and `eval.weights` are read.
        workdir: receives the files.
        members: folders of finished runs.

    Raises:
        UserError: a member is not finished or does not have what is asked for, or the folder
            holds another config's result.
    """
    earlier = result.existing(workdir, config)
    if earlier is not None:
        return earlier
    started, begun = result.now(), time.monotonic()
    kind = config.eval.weights
    found = evaluation.evaluate(members, evaluation.Protocol(config.eval.crops, kind))
    predictions, first = found.predictions[kind], result.read(members[0])
    about = found.record["members"]
    digests = [member["params_sha256"] for member in about]
    protocol = json.dumps([digests, config.eval.crops, kind])
    accuracy.save(workdir / "predictions.npz", predictions.scores())
    content = {
        "config": json.loads(configs.to_json(config)),
        "metrics": {
            f"test_{name}": value
            for name, value in predictions.summary().items()
            if not name.endswith("examples")
        },
        "steps": first.get("steps", 0),
        "params_sha256": hashlib.sha256(protocol.encode()).hexdigest(),
        "seconds": round(time.monotonic() - begun, 3),
        "started": started,
        "finished": result.now(),
        "data": first["data"],
        "members": about,
        "versions": result.versions(),
        "commit": result.commit(),
        "machine": result.machine(),
        "peak_memory_bytes": result.peak_memory(),
    }
    result.write(workdir, content)
    return content

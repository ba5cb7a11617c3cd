"""Controls: a study whose answers are known, repeated on new images many times in one process.

A repeat goes through what decides a verdict: initial values, order of examples, the compiled
training and evaluation steps, pairs by seed, tests, Holm's adjustment. What a study adds around
them, processes and files, is left out, since it would take hours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.study import images, serialization, tables
from inception_jax.study.definition import Study
from inception_jax.study.store import Trial

FILE = "repeats.jsonl"
_PILOT_DRAWS = 1_000_000  # the pilot's images are none of the repeats'


@dataclass(frozen=True)
class Pilot:
    """What the planned powers reckon with.

    Attributes:
        repeats: on which it was measured.
        accuracy: mean of the arms without a planted loss.
        sd: of a repeat's paired A/A differences, root mean square over the repeats.
    """

    repeats: int
    accuracy: float
    sd: float


def load() -> Any:
    """The module `experiments/controls.py`."""
    return config_lib.load_module(config_lib.folder("experiments") / "controls.py")


class Programs:
    """The compiled programs of one config, which all arms, seeds and draws share.

    The network is a small one of its own (`_network`), whatever `config.model` says: a verdict does
    not depend on it, and an Inception module of any width costs ten times as much.
    """

    def __init__(self, study: Study) -> None:
        from inception_jax.data.builders import controls
        from inception_jax.train import cache, mesh, schedule, state, step

        cache.enable()
        config = study.config(study.arms[0], 0)
        bundle = controls.bundle(config.data.options.to_dict())
        self.config = config_lib.resolve(config, bundle.sizes["train"])
        model = _network(len(bundle.class_names))
        self._mesh = mesh.create(self.config)
        self._initial = state.compiled(
            model, self.config, bundle.image_shape, sharding=mesh.replicated(self._mesh)
        )
        self._train = step.train_step(model, self.config, self._mesh)
        self._evaluate = step.eval_step(model, self._mesh)
        self._rates = schedule.rates(self.config.optim, self.config.derived)

    def right(self, options: Mapping[str, Any], seeds: int) -> np.ndarray:
        """bool[seeds, N]: which test images a network is right on that is trained from each seed.

        Args:
            options: `data.options` of an arm.
            seeds: 0 to seeds - 1.
        """
        from inception_jax.data.builders import controls
        from inception_jax.train import mesh

        train, test = (controls.arrays(options, split) for split in ("train", "test"))
        shown = mesh.put({"image": test[0], "label": test[1]}, self._mesh)
        return np.stack([self._one(train, shown, seed) for seed in range(seeds)])

    def _one(self, train: tuple[np.ndarray, np.ndarray], test: Any, seed: int) -> np.ndarray:
        from inception_jax.data import order
        from inception_jax.train import state

        current, size = self._initial(state.key_data(seed)), self.config.data.batch_size
        for at, rate in enumerate(self._rates):
            _, chosen = order.batch_indices(seed, at, len(train[1]), size, (0, 1))
            batch: Any = {"image": train[0][chosen], "label": train[1][chosen]}
            current, _ = self._train(current, batch, rate)
        return np.asarray(self._evaluate(current.variables, test)["rank"]) < 1


def _network(classes: int) -> Any:
    """Two convolutions with batch norm: f32[N, H, W, 1] -> Outputs, as the networks of `models`."""
    from flax import linen as nn

    from inception_jax.models import Outputs

    class Network(nn.Module):
        @nn.compact
        def __call__(self, images: Any, train: bool = False) -> Any:
            values = images
            for kernel, stride in ((5, 2), (3, 1)):
                values = nn.Conv(24, (kernel, kernel), stride, use_bias=False)(values)
                values = nn.BatchNorm(use_running_average=not train, momentum=0.9)(values)
                values = nn.relu(values)
            return Outputs(nn.Dense(classes)(values.mean(axis=(1, 2))), ())

    return Network()


def repeat(study: Study, programs: Programs, draw: int) -> dict[str, Any]:
    """One repeat, as a line of `FILE`: for each question what the seeds say, alone and with Holm.

    Args:
        study: on this draw.
        programs: of the same config.
        draw: noted.
    """
    started = time.monotonic()
    right = {
        arm.name: programs.right(study.config(arm, 0).data.options.to_dict(), study.seeds)
        for arm in study.arms
    }
    trials = [
        Trial(arm, seed, "done", {study.metric: float(values[seed].mean())}, {})
        for arm, values in right.items()
        for seed in range(study.seeds)
    ]
    rows = []
    for row in tables.question_rows(study, tables.by_arm(study, trials)):
        found = row.comparison
        assert found is not None
        rows.append(
            {
                **{key: getattr(found, key) for key in ("mean", "sd", "p", "p_sign_flip")},
                "verdict": found.verdict,
                "p_holm": row.p_adjusted,
                "verdict_holm": row.verdict,
            }
        )
    first = study.questions[0]
    return {
        "draw": draw,
        "accuracy": {arm: float(values.mean()) for arm, values in right.items()},
        "questions": rows,
        "two_level": images.two_level(right[first.treatment], right[first.baseline]),
        "seconds": round(time.monotonic() - started, 3),
    }


def pilot(repeats: int) -> Pilot:
    """Measures what the file of the controls reckons with, on images of its own."""
    module = load()
    programs = Programs(module.get_study())
    lines = [
        repeat(module.get_study(draw), programs, draw)
        for draw in range(_PILOT_DRAWS, _PILOT_DRAWS + repeats)
    ]
    return measured(lines, module.get_study())


def measured(lines: list[dict[str, Any]], study: Study) -> Pilot:
    """Accuracy and spread of these repeats."""
    first = study.questions[0]
    accuracy = [
        line["accuracy"][arm] for line in lines for arm in (first.treatment, first.baseline)
    ]
    spread = [line["questions"][0]["sd"] ** 2 for line in lines]
    return Pilot(len(lines), float(np.mean(accuracy)), float(np.sqrt(np.mean(spread))))


def run(root: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields the repeats 1 to `repeats`, those that are there already first.

    Each is written as soon as it is done, so that the same command goes on after any end.

    Raises:
        UserError: the folder holds repeats of other controls, or cannot be written.
    """
    module = load()
    identity = _identity(module)
    known = read(root)
    if known and known[0] != identity:
        raise errors.UserError(
            f"{root / FILE} is of other controls (experiments/controls.py has changed); "
            "choose another --workdir"
        )
    done = {line["draw"]: line for line in known[1:]}
    yield from (done[draw] for draw in range(1, repeats + 1) if draw in done)
    missing = [draw for draw in range(1, repeats + 1) if draw not in done]
    if not missing:
        return
    programs = Programs(module.get_study())
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / FILE).open("a", encoding="utf-8") as file:
            if not known:
                file.write(json.dumps(identity))
            file.write("\n")  # ends a line that was cut off, too
            for draw in missing:
                line = repeat(module.get_study(draw), programs, draw)
                file.write(json.dumps(line) + "\n")
                file.flush()
                yield line
    except OSError as error:
        raise errors.UserError(f"cannot write {root / FILE}: {error.strerror or error}") from error


def read(root: Path) -> list[dict[str, Any]]:
    """The identity and the repeats that are there; a line that was cut off is passed over."""
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except OSError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _identity(module: Any) -> dict[str, Any]:
    """What may not change between repeats, as it comes back from JSON."""
    facts = {**serialization.identity(module.get_study()), "pilot": asdict(module.PILOT)}
    return json.loads(json.dumps(facts))

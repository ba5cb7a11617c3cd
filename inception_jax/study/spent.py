"""What a study's finished trials have cost: core-minutes and the multiply-adds of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inception_jax.study import search, store
from inception_jax.study.costs import ArmCost
from inception_jax.study.definition import Study
from inception_jax.study.store import Trial

# The backward pass makes two products for each of the forward pass's, as in `study.planning`.
_PASSES = 3


@dataclass(frozen=True)
class Spent:
    """The cost of all trials that are done, those of a search among them.

    Attributes:
        trials: how many.
        core_minutes: wall-clock minutes times the cores of each trial; 0 without trials.
        macs: multiply-adds of training, three times the forward pass of every image seen;
            evaluation is not counted. None where an arm's cost is not known.
    """

    trials: int
    core_minutes: float
    macs: int | None


def of_study(
    root: Path, study: Study, trials: Sequence[Trial], counted: Mapping[str, ArmCost]
) -> Spent:
    """Adds up the trials of the study in `root`.

    Args:
        root: the study's folder.
        study: as registered.
        trials: of the study proper, in whatever state.
        counted: the arms' costs.
    """
    own = [(trial, trial.arm) for trial in trials]
    if study.search is not None:
        phase = search.phase(study)
        tries = store.read_trials(root / search.FOLDER, phase)
        own += [(trial, trial.arm.rpartition(".")[0]) for trial in tries]
    done = [(trial, arm) for trial, arm in own if trial.state == "done"]
    batches = _batches(root, study)
    macs: int | None = 0
    for trial, arm in done:
        if study.arm(arm).members:
            continue  # it trains nothing
        batch, cost = batches.get(arm), counted.get(arm)
        if batch is None or cost is None:
            macs = None
            break
        macs += _PASSES * cost.macs * batch * int(trial.record["steps"])
    minutes = sum(float(t.record["seconds"]) * _cores(t) for t, _ in done) / 60
    return Spent(len(done), minutes, macs)


def _cores(trial: Trial) -> int:
    machine = trial.record.get("machine")
    cores = machine.get("cores") if isinstance(machine, Mapping) else None
    return cores if isinstance(cores, int) and cores > 0 else 1


def _batches(root: Path, study: Study) -> dict[str, int]:
    """The batch size of each arm, as its first trial's config says."""
    found: dict[str, int] = {}
    for arm in study.arms:
        config = store.read_json(store.trial_folder(root, arm.name, 0) / store.CONFIG_FILE)
        try:
            found[arm.name] = int(config["data"]["batch_size"])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    return found

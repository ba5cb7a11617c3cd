"""The study's folder: what is written where, and how it is read back as data, never as code.

DIR/study.json                      the study as registered before its first trial
DIR/trials/ARM/seed-N/config.json   what the trial runs
                     /result.json   written whole or not at all; nothing else makes it done
                     /metrics.jsonl, log.txt, checkpoints/
                     /failure.json  why the last attempt failed, if it did
DIR/costs.json                      counted once per arm
DIR/report.html, ...                rebuilt from the above at any time
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.study import serialization, untrusted
from inception_jax.study.definition import Study
from inception_jax.study.files import (
    CONFIG_FILE,
    FAILURE_FILE,
    RESULT_FILE,
    STUDY_FILE,
    read_json,
    write_json,
)

State = Literal["done", "missing", "failed", "broken", "foreign", "spared"]

# files of the driver that holds the folder, or of the store that it mirrors
_HOLDS = (".lock", ".lease", "..lease", ".pulled", "..pulled")
_SEED_FOLDER = re.compile(r"seed-(\d{1,9})")
_RESULT_TYPES: dict[str, type | tuple[type, ...]] = {
    "config": dict,
    "metrics": dict,
    "steps": int,
    "params_sha256": str,
    "seconds": (int, float),
    "versions": dict,
    "commit": (str, type(None)),
}


@dataclass(frozen=True)
class Trial:
    """One trial as its folder tells it.

    Attributes:
        arm: name of the arm.
        seed: its seed.
        state: "done", "missing" (not run, or still running), "failed" (the last attempt failed),
            "broken" (`result.json` is not a result), "foreign" (a result of another config) or
            "spared" (not run, and by `study.early` not needed).
        metrics: of a trial that is done.
        record: the whole of `result.json` except its config.
        reason: why a trial is not done, in one line.
    """

    arm: str
    seed: int
    state: State
    metrics: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    def with_metrics(self, metrics: Mapping[str, float]) -> Trial:
        """The same trial with these metrics."""
        return dataclasses.replace(self, metrics=metrics)


def trial_folder(root: Path, arm: str, seed: int) -> Path:
    """Where a trial lives."""
    return root / "trials" / arm / f"seed-{seed}"


def register(root: Path, study: Study) -> Study:
    """Makes `root` the folder of `study`, or joins it where it already is.

    Returns:
        The study with as many seeds as were asked for, or as have been finished where that is
        more: no result that was measured is ever left out of the table. The number that was
        planned before the first result stays with it.

    Raises:
        UserError: the folder holds something else.
    """
    untrusted.refuse_links(*(root.iterdir() if root.is_dir() else ()))
    held = read_study(root) if (root / STUDY_FILE).exists() else None
    if held is not None:
        if serialization.identity(held) != serialization.identity(study):
            raise errors.UserError(
                f"{root} holds study {held.name!r} ({_difference(held, study)}); "
                "choose another --workdir"
            )
    elif root.is_dir() and any(not path.name.startswith(_HOLDS) for path in root.iterdir()):
        raise errors.UserError(f"{root} is not empty and holds no study; choose another --workdir")
    finished = [
        seed
        for arm, seed in _folders(root)
        if (trial_folder(root, arm, seed) / RESULT_FILE).exists()
    ]
    planned = held.planned_seeds if held is not None and finished else study.seeds
    joined = study.with_seeds(max([study.seeds, *(seed + 1 for seed in finished)]))
    joined = dataclasses.replace(joined, planned_seeds=planned)
    write_json(root / STUDY_FILE, serialization.to_dict(joined))
    return joined


def _difference(held: Study, asked: Study) -> str:
    before, after = serialization.identity(held), serialization.identity(asked)
    key = next(key for key in before if before[key] != after[key])
    if isinstance(before[key], str):
        return f"{key} {before[key]!r}, not {after[key]!r}"
    return f"at scale {held.scale!r} on {held.data!r}, with other {key}"


def read_study(root: Path) -> Study:
    """The study that the folder was registered for.

    Raises:
        UserError: the folder holds no study, or its `study.json` cannot be read.
    """
    path = root / STUDY_FILE
    if not path.is_file():
        raise errors.UserError(
            f"{root} holds no study (no {STUDY_FILE}); give the folder that `inception-jax study` "
            "wrote"
        )
    try:
        return serialization.from_dict(read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError, errors.UserError):
        raise errors.UserError(f"{path} is not a study's description; was it edited?") from None


def arm_configs(study: Study) -> dict[str, dict[str, Any]]:
    """The config of each arm at seed 0, as `config.json` holds it."""
    return {arm.name: json.loads(config_lib.to_json(study.config(arm, 0))) for arm in study.arms}


def prepare(root: Path, config: Mapping[str, Any], arm: str, seed: int) -> tuple[Path, Trial]:
    """Readies a trial's folder and tells what it holds.

    What does not belong is set aside, never deleted: a `result.json` that is no result, or the
    whole folder where it belongs to another config.

    Args:
        root: the study's folder.
        config: the arm's, from `arm_configs`.
        arm: name of the arm.
        seed: the trial's seed.
    """
    folder = trial_folder(root, arm, seed)
    if not untrusted.within(root, folder):
        raise errors.UserError(f"{folder} is a link that leads out of {root}; remove it")
    untrusted.refuse_links(*(folder.iterdir() if folder.is_dir() else ()))
    wanted = {**config, "seed": config["seed"] + seed}
    trial = read_trial(folder, arm, seed, wanted)
    held = read_json(folder / CONFIG_FILE)
    if trial.state == "foreign" or (isinstance(held, dict) and not matches(wanted, held)):
        if trial.state != "foreign":
            trial = Trial(arm, seed, "foreign", reason=f"{CONFIG_FILE} is of another config")
        set_aside(folder)
    elif trial.state == "broken":
        set_aside(folder / RESULT_FILE)
    if trial.state != "done" and (trial.state == "foreign" or held != wanted):
        write_json(folder / CONFIG_FILE, wanted)
    return folder, trial


def set_aside(path: Path) -> None:
    """Renames a file or folder out of the way, beside where it was; nothing is overwritten."""
    number = 1
    while (target := path.with_name(f".{path.name}.aside-{number}")).exists():
        number += 1
    path.rename(target)


def matches(expected: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether every value of a config is found again, but for keys that name a place.

    A key that came later than the found config has its default, with which that was made.
    """
    wanted, present = flat(expected), {**_defaults(), **flat(found)}
    return all(
        key in present and present[key] == value
        for key, value in wanted.items()
        if key not in config_lib.PLACE_KEYS
    )


@functools.cache
def _defaults() -> dict[str, Any]:
    return flat(json.loads(config_lib.to_json(config_lib.default())))


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a config by their dotted keys."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            leaves.update(flat(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def read_trial(folder: Path, arm: str, seed: int, config: Mapping[str, Any] | None = None) -> Trial:
    """What a trial's folder says; with `config`, a result of any other config is "foreign"."""
    path = folder / RESULT_FILE
    if not path.exists():
        failure = read_json(folder / FAILURE_FILE)
        if isinstance(failure, dict) and failure:
            return Trial(arm, seed, "failed", reason=str(failure.get("reason", "unknown"))[:500])
        return Trial(arm, seed, "missing", reason="not run")
    record = read_json(path)
    problem = _problem(record)
    if problem:
        return Trial(arm, seed, "broken", reason=f"{RESULT_FILE} {problem}")
    if config is not None and not matches(config, record["config"]):
        return Trial(arm, seed, "foreign", reason=f"{RESULT_FILE} belongs to another config")
    metrics = {key: float(value) for key, value in record["metrics"].items() if _number(value)}
    rest = {key: value for key, value in record.items() if key != "config"}
    return Trial(arm, seed, "done", metrics=metrics, record=rest)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: float) -> bool:
    return -1e300 < value < 1e300  # also of an integer that no float can hold


def _problem(record: Any) -> str:
    if not isinstance(record, dict):
        return "is cut off or no JSON"
    for key, kind in _RESULT_TYPES.items():
        if key not in record or not isinstance(record[key], kind):
            return f"lacks a valid {key!r}"
    bad = [k for k, v in record["metrics"].items() if _number(v) and not _finite(v)]
    if not 0 <= record["seconds"] < 1e12:
        return "lacks a valid 'seconds'"
    return f"holds a {bad[0]} that is not finite" if bad else ""


def _folders(root: Path) -> Iterator[tuple[str, int]]:
    """Every (arm, seed) that has a folder; links and odd names are passed over."""
    trials = root / "trials"
    if not trials.is_dir():
        return
    for arm in sorted(path for path in trials.iterdir() if path.is_dir()):
        for path in arm.iterdir():
            found = _SEED_FOLDER.fullmatch(path.name)
            if found and path.is_dir():
                yield arm.name, int(found[1])


def read_trials(root: Path, study: Study) -> list[Trial]:
    """Every trial of the study, arm by arm, in the order of seeds, in whatever state it is."""
    trials: list[Trial] = []
    for arm in study.arms:
        for seed in range(study.seeds):
            folder = trial_folder(root, arm.name, seed)
            config = read_json(folder / CONFIG_FILE)
            own = {"seed": seed + arm.seed_offset}
            wanted = {**config, **own} if isinstance(config, dict) else None
            if untrusted.within(root, folder / RESULT_FILE):
                trials.append(read_trial(folder, arm.name, seed, wanted))
            else:
                trials.append(Trial(arm.name, seed, "broken", reason="it leads out of the study"))
    return trials


def read_curve(folder: Path, split: str, key: str) -> list[tuple[int, float]]:
    """(step, value) of a metric over the run; lines that cannot be read are passed over.

    A run that was resumed may have written a step twice; the last one counts.
    """
    points: dict[int, float] = {}
    path = folder / "metrics.jsonl"
    if not untrusted.regular(path, untrusted.MAX_LINES):
        return []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("split") == split:
            step, value = entry.get("step"), entry.get(key)
            if isinstance(step, int) and abs(step) < 1e15 and _number(value) and _finite(value):
                points[step] = float(value)
    return sorted(points.items())

"""How far a study is, as data: what each trial does, its speed, and how long it still takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from inception_jax.study import store, untrusted

STATES = ("done", "running", "failed", "spared", "waiting")
_TAIL = 8192  # bytes of metrics.jsonl that hold its last line
Key = tuple[str, int]  # arm and seed


@dataclass(frozen=True)
class Running:
    """A trial under way.

    Attributes:
        arm: name of its arm.
        seed: its seed.
        seconds: since it was started.
        share: of its training that is behind it, 0 to 1; None before it has said anything.
        speed: images a second; None likewise.
    """

    arm: str
    seed: int
    seconds: float
    share: float | None = None
    speed: float | None = None

    def left(self, each: float | None) -> float | None:
        """Seconds until it ends, by its own progress, else by what such a trial takes."""
        if self.share:
            return self.seconds * (1 - self.share) / self.share
        return None if each is None else max(0.0, each - self.seconds)


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        title: of the study.
        states: of every trial, one of `STATES`, arm by arm.
        running: the trials under way.
        seconds: since the driver began; None where none runs.
        left: seconds until the last trial ends; None where nothing is known yet.
    """

    title: str
    states: Mapping[Key, str]
    running: tuple[Running, ...] = ()
    seconds: float | None = None
    left: float | None = None

    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        found: dict[str, int] = dict.fromkeys(STATES, 0)
        for state in self.states.values():
            found[state] += 1
        return found

    def by_arm(self) -> dict[str, list[str]]:
        """The states of each arm's trials, by seed."""
        found: dict[str, list[str]] = {}
        for (arm, _), state in self.states.items():
            found.setdefault(arm, []).append(state)
        return found


def seconds_left(
    states: Mapping[Key, str],
    running: Sequence[Running],
    took: Mapping[str, Sequence[float]],
    slots: int,
) -> float | None:
    """Expected time until the last trial ends; None before there is anything to go by.

    Args:
        states: of every trial.
        running: the trials under way.
        took: seconds of the trials that have ended, by arm: arms may take unequally long.
        slots: how many run at once.
    """
    means = {arm: fmean(seconds) for arm, seconds in took.items() if seconds}
    ends = [(one, one.left(None)) for one in running]
    guesses = [one.seconds + left for one, left in ends if left is not None]
    overall = fmean(means.values()) if means else fmean(guesses) if guesses else None
    if overall is None:
        return None
    rest = [one.left(means.get(one.arm, overall)) or 0.0 for one in running]
    waiting = [means.get(arm, overall) for (arm, _), state in states.items() if state == "waiting"]
    return max([(sum(rest) + sum(waiting)) / max(1, slots), *rest])


def reading(folder: Path) -> tuple[float | None, float | None]:
    """(share done, images a second) of a running trial, from the end of its metrics.jsonl."""
    try:
        path = folder / "metrics.jsonl"
        if not untrusted.regular(path, untrusted.MAX_LINES):
            return None, None
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None, None
    share = speed = None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            share = _share(folder, entry) if share is None else share
            speed = _positive(entry.get("images_per_second"))
            if speed:
                break
    return share, speed


def _share(folder: Path, entry: Mapping[str, object]) -> float | None:
    config = store.read_json(folder / store.CONFIG_FILE)
    train = config.get("train") if isinstance(config, dict) else None
    if not isinstance(train, dict):
        return None
    shares = [
        done / whole
        for done, whole in (
            (_positive(entry.get("epoch")), _positive(train.get("epochs"))),
            (_positive(entry.get("step")), _positive(train.get("max_steps"))),
        )
        if done and whole
    ]
    return min(1.0, max(shares)) if shares else None


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        return None
    return float(value)


def duration(seconds: float) -> str:
    """Seconds as text: 75 -> "1 min 15 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""What a study's folder says of its progress: `inception-jax study NAME --status`.

Reads names and the driver's note, not results, so that it answers at once for a thousand trials.
"""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from inception_jax import errors
from inception_jax.study import board, live, lock, progress, search, store
from inception_jax.study.definition import Study
from inception_jax.study.progress import Running, Snapshot

_MOST_FAILURES = 5
_ALIVE_SECONDS = 90.0  # without a new note the driver is taken to be gone


def read(root: Path) -> Snapshot:
    """How far the study in `root` is.

    Raises:
        UserError: it holds no study.
    """
    return _read(_current(root))[0]


def _current(root: Path) -> Path:
    """The folder of the phase that runs: the search's before the study's own."""
    study = store.read_study(root)
    within = root / search.FOLDER
    if study.search and search.read(root) is None and (within / store.STUDY_FILE).is_file():
        return within
    return root


def _read(root: Path) -> tuple[Snapshot, Mapping[str, Any]]:
    study, note = store.read_study(root), _note(root)
    states = _states(root, study)
    running: list[Running] = []
    if note["alive"]:
        for entry in note["running"]:
            arm, seed = entry["arm"], entry["seed"]
            if states.get((arm, seed)) in ("waiting", "failed"):
                states[arm, seed] = "running"
                told = progress.reading(store.trial_folder(root, arm, seed))
                running.append(Running(arm, seed, max(0.0, time.time() - entry["begun"]), *told))
    for arm, seed in note["spared"]:
        if states.get((arm, seed)) == "waiting":
            states[arm, seed] = "spared"
    seconds = time.time() - note["begun"] if note["alive"] else None
    left = progress.seconds_left(states, running, note["took"], note["slots"])
    title = study.title + (" (search)" if root.name == search.FOLDER else "")
    return Snapshot(title, states, tuple(running), seconds, left if note["alive"] else None), note


def _held(root: Path) -> bool:
    """Whether a driver holds the folder, also one that leaves no note."""
    folder = root.parent if root.name == search.FOLDER else root
    return _locked(folder) or lock.holder(folder) is not None


def _locked(root: Path) -> bool:
    import fcntl

    try:
        with (root / ".lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _states(root: Path, study: Study) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for arm in study.arms:
        for seed in range(study.seeds):
            folder = store.trial_folder(root, arm.name, seed)
            if (folder / store.RESULT_FILE).is_file():
                found[arm.name, seed] = "done"
            else:
                failed = (folder / store.FAILURE_FILE).is_file()
                found[arm.name, seed] = "failed" if failed else "waiting"
    return found


def _note(root: Path) -> dict[str, Any]:
    """The driver's note with everything in its place; what is not as it should be is left out."""
    held = store.read_json(root / board.FILE)
    raw: dict[str, Any] = held if isinstance(held, dict) else {}

    def number(key: str, of: Mapping[str, Any] = raw) -> float:
        value = of.get(key)
        fine = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
        return float(value or 0) if fine else 0.0

    running: list[dict[str, Any]] = [
        {"arm": entry["arm"], "seed": entry["seed"], "begun": number("begun", entry)}
        for entry in _list(raw.get("running"))
        if isinstance(entry, dict)
        and isinstance(entry.get("arm"), str)
        and isinstance(entry.get("seed"), int)
    ]
    spared = [
        (entry[0], entry[1])
        for entry in _list(raw.get("spared"))
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
        and isinstance(entry[1], int)
    ]  # fmt: skip
    took = raw.get("took")
    return {
        "alive": not raw.get("ended")
        and time.time() - number("updated") < _ALIVE_SECONDS
        and (raw.get("host") != platform.node() or _held(root)),
        "begun": number("begun"),
        "updated": number("updated"),
        "slots": max(1, int(number("slots"))),
        "again": _command(raw.get("again")),
        "running": running,
        "spared": spared,
        "took": {
            arm: [float(s) for s in _list(seconds) if isinstance(s, int | float) and 0 <= s < 1e9]
            for arm, seconds in (took.items() if isinstance(took, dict) else ())
        },
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _command(value: Any) -> str:
    """The command that goes on, quoted anew: what is pasted into a shell is only ever arguments."""
    try:
        words = shlex.split(value) if isinstance(value, str) else []
    except ValueError:
        return ""
    return shlex.join(words) if words[:2] == ["inception-jax", "study"] else ""


def next_step(root: Path, snapshot: Snapshot, note: Mapping[str, Any], place: str = "") -> str:
    """What to do now, in one line; `place` is where the study is, if `root` only mirrors it."""
    counts, place = snapshot.counts(), place.rstrip("/") or str(root)
    name = shlex.quote(store.read_study(root).name)
    again = note["again"] or f"inception-jax study {name} --workdir {place}"
    if note["alive"] or _held(root):
        return "running; stop it with Ctrl-C where it was started, finished trials are kept"
    if counts["waiting"]:
        since = time.time() - note["updated"]
        ago = f" (last sign of life {progress.duration(since)} ago)" if note["updated"] else ""
        return f"interrupted{ago}; to go on: {again}"
    if counts["failed"]:
        return f"finished, but {counts['failed']} trials failed; to try them again: {again}"
    return f"finished; the report: {place}/report.html"


def show(root: Path, console: Console, place: str = "") -> None:
    """Prints how far the study is, why trials failed, and what to do next.

    Args:
        root: the study's folder, or the mirror of one in a store.
        console: where to print.
        place: the URL of the latter.

    Raises:
        UserError: the folder holds no study.
    """
    current = _current(root)
    snapshot, note = _read(current)
    console.print(live.table(snapshot))
    failed = [key for key, state in snapshot.states.items() if state == "failed"]
    for arm, seed in failed[:_MOST_FAILURES]:
        folder = store.trial_folder(current, arm, seed)
        held = store.read_json(folder / store.FAILURE_FILE)
        reason = held.get("reason", "unknown") if isinstance(held, dict) else "unknown"
        _print(console, f"{arm} seed {seed} failed: {str(reason)[:300]} ({folder / 'log.txt'})")
    if len(failed) > _MOST_FAILURES:
        _print(console, f"… and {len(failed) - _MOST_FAILURES} more that failed")
    _print(console, next_step(root, snapshot, note, place))


def show_all(folder: Path, console: Console) -> None:
    """Prints one line for each study in a folder of studies.

    Raises:
        UserError: there is none.
    """
    roots = sorted(path.parent for path in folder.glob(f"*/{store.STUDY_FILE}"))
    if not roots:
        raise errors.UserError(
            f"{folder} holds no studies; inception-jax study --list names those to run"
        )
    width = max(len(root.name) for root in roots)
    for root in roots:
        try:
            current = _current(root)
            snapshot, note = _read(current)
        except errors.UserError as error:
            _print(console, f"{root.name:<{width}}  {error}")
            continue
        state = next_step(root, snapshot, note).split(";")[0]
        _print(console, f"{root.name:<{width}}  {live.line(snapshot)} · {state}")


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)

"""How an attempt at a trial ended, as processes on other machines tell it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inception_jax import errors
from inception_jax.study import untrusted

FOLLOWED = "another of its processes failed"  # the reason of those that were ended for it
_TYPES: dict[str, Any] = {
    "code": int | None,
    "reason": str,
    "lost": bool,
    "result": bool,
    "seconds": int | float,
    "rank": int,
}


@dataclass(frozen=True)
class Exit:
    """How an attempt ended.

    Attributes:
        code: exit code, negative the signal; None where there is none to tell.
        reason: why it was ended, where that is known; in one line.
        lost: whether the machine was at fault and not the trial.
        result: whether the worker saw a `result.json`, which other machines may see later.
        seconds: how long it took.
        rank: of the process that it is told of.
    """

    code: int | None = None
    reason: str = ""
    lost: bool = False
    result: bool = False
    seconds: float = 0.0
    rank: int = 0

    @property
    def bad(self) -> bool:
        """Whether it did not end well."""
        return bool(self.code or self.reason or self.lost)

    def to_json(self) -> str:
        """As text, for the driver."""
        return json.dumps(dataclasses.asdict(self))


def from_json(text: str) -> Exit:
    """The inverse of `Exit.to_json`.

    Raises:
        ValueError: the text is no exit.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or any(
        not isinstance(content.get(name), kinds) for name, kinds in _TYPES.items()
    ):
        raise ValueError("it is no exit of a trial")
    known = {name: content[name] for name in _TYPES}
    return Exit(**{**known, "reason": untrusted.clean(content["reason"])[:500]})


def cause(exits: Sequence[Exit]) -> Exit:
    """Of the exits of a trial's processes the one that explains the others, or the first.

    One that fails takes the others with it, which then say that they lost touch. So a machine's
    fault goes before a limit, a limit before a signal, and a signal before an exit code.
    """

    def place(ended: Exit) -> int:
        if ended.reason == FOLLOWED:
            return 4
        if ended.lost or ended.code == errors.Interrupted.exit_code:
            return 0
        if ended.reason:
            return 1
        return 2 if ended.code is not None and ended.code < 0 else 3

    return min((ended for ended in exits if ended.bad), key=place, default=exits[0])

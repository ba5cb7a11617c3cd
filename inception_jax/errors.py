"""Errors a user can mend: each is one line that says what, what was expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend. The command line prints its one line and exits with 1."""

    exit_code = 1


class UsageError(UserError):
    """A command, key or name that does not exist or has the wrong form. Exits with 2."""

    exit_code = 2


class NonFiniteLoss(UserError):
    """The loss became NaN or infinite; the message names the step and the last good checkpoint.

    Attributes:
        step: at which it was seen.
    """

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


class Interrupted(UserError):
    """A signal stopped the run after it saved a checkpoint; the same command goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: schedulers can tell it from a failure and requeue


def unknown(kind: str, name: str, known: Iterable[str], listed: str = "") -> UsageError:
    """The error for a `name` that is not among `known`, with the nearest known one.

    Args:
        kind: what the name should have been, as in "data set" or "config key".
        name: the name as the user gave it.
        known: every name that would have been right.
        listed: where these are listed, if they are too many for one line.
    """
    choices = sorted(known)
    if not choices:
        return UsageError(f"unknown {kind} {name!r}: there are none")
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if near:
        return UsageError(f"unknown {kind} {name!r}; did you mean {near[0]!r}?")
    if listed:
        return UsageError(f"unknown {kind} {name!r}; {listed} lists the {len(choices)} there are")
    return UsageError(f"unknown {kind} {name!r}; known: {', '.join(choices)}")

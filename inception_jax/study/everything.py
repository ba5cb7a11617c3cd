"""Every study, one after another; one that fails is told of at the end and stops none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from inception_jax import errors
from inception_jax.study import definition, runner
from inception_jax.study.launch import Interrupted

ALL = "all"


@dataclass(frozen=True)
class Outcome:
    """How one study ended.

    Attributes:
        name: of the study.
        problem: why it has no report, or one that lacks trials; "" where it is complete.
    """

    name: str
    problem: str = ""


def in_order() -> list[str]:
    """Every study: what only counts first, then by the number of the first claim."""

    def key(name: str) -> tuple[int, str]:
        questions = definition.load(name).questions
        number = re.search(r"\d+", questions[0].claim) if questions else None
        return int(number[0]) if number else 0, name

    return sorted(definition.names(), key=key)


def run(
    workdir: str | Path | None = None,
    *,
    console: Console | None = None,
    one: Callable[..., Path] = runner.run,
    **options: Any,
) -> list[Outcome]:
    """Runs every study, each in a folder of its own, and goes on where one fails.

    Args:
        workdir: the folder of the studies' folders; None is runs/.
        console: where to print.
        one: runs a study as `runner.run` does.
        options: the rest of `runner.run`'s; each study has its own data.

    Returns:
        How each study ended, in the order of `in_order`.

    Raises:
        UsageError: another data set was asked for, or an option that no study takes.
        Interrupted: the user stopped it.
        UserError: after the last study, where one failed.
    """
    if options.get("data") is not None:
        raise errors.UsageError("all studies run on their own data; leave out --data")
    console = console or Console()
    usual = ("default", "local")  # of --scale and --launcher
    given = {key: value for key, value in options.items() if value and value not in usual}
    again = runner.command(ALL, {"workdir": workdir, **given})
    outcomes: list[Outcome] = []
    for name in in_order():
        console.rule(name, align="left")
        scale = options.get("scale") or "default"
        root = Path(workdir or "runs") / runner.default_workdir(name, scale=scale).name
        own = options
        if options.get("early"):  # of those that have a rule for it
            own = {**options, "early": definition.load(name, scale).early is not None}
        try:
            one(name, root, console=console, **own)
        except errors.UsageError:
            raise  # it is of the options, so the next would say the same
        except Interrupted:
            raise Interrupted(f"stopped; finished trials are kept. To go on: {again}") from None
        except Exception as error:  # a night's work must not end with one study
            said = str(error) if isinstance(error, errors.UserError) else repr(error)
            outcomes.append(Outcome(name, said))
            console.print(said, style="red", highlight=False, markup=False, soft_wrap=True)
        else:
            outcomes.append(Outcome(name))
    _tell(outcomes, console, again)
    return outcomes


def _tell(outcomes: list[Outcome], console: Console, again: str) -> None:
    console.rule("all studies", align="left")
    for outcome in outcomes:
        text = outcome.problem or "complete"
        console.print(f"{outcome.name}: {text}", highlight=False, markup=False, soft_wrap=True)
    failed = [outcome.name for outcome in outcomes if outcome.problem]
    if failed:
        raise errors.UserError(
            f"{len(failed)} of {len(outcomes)} studies are not complete: {', '.join(failed)}; "
            f"to try again what is missing: {again}"
        )

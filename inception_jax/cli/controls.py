"""Checks the machinery of verdicts on studies with known answers, repeated many times.

How often it calls a difference between equal arms, and how often it finds a planted one:

  inception-jax controls --repeats 20
  inception-jax controls --repeats 200 --publish docs/results
  inception-jax controls --pilot 20
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inception_jax import errors


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--repeats", type=int, default=200, help="in all, with those there (default %(default)s)"
    )
    parser.add_argument(
        "--workdir", type=Path, default=Path("runs/controls"), help="(default %(default)s)"
    )
    parser.add_argument("--publish", metavar="DIR", type=Path, help="writes DIR/controls.md")
    parser.add_argument(
        "--pilot", metavar="N", type=int, help="instead: accuracy and spread of N other repeats"
    )


def run(args: argparse.Namespace) -> None:
    """Runs what is missing of the repeats and prints the table."""
    for option in ("repeats", "pilot"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise errors.UsageError(f"--{option} must be at least 1, got {value}")
    from rich.console import Console
    from rich.progress import track

    from inception_jax.study import controls, controls_page

    console = Console()
    if args.pilot:
        found = controls.pilot(args.pilot)
        print(f"accuracy {found.accuracy:.4f}, sd {found.sd:.5f} over {found.repeats} repeats")
        return
    repeats = controls.run(args.workdir, args.repeats)
    lines = list(track(repeats, "repeats", total=args.repeats, console=console, transient=True))
    module = controls.load()
    study = module.get_study()
    for rate in controls_page.rates(study, module.PILOT, lines):
        low, high = rate.interval
        console.print(
            f"{rate.times:4d} of {rate.repeats} ({100 * low:.1f} to {100 * high:.1f} %), "
            f"{'at most' if rate.at_most else 'expected'} {100 * rate.expected:.1f} %: {rate.what}",
            highlight=False,
            soft_wrap=True,
        )
    if args.publish:
        measured = controls.measured(lines, study)
        print(controls_page.write(args.publish, study, module.PILOT, lines, measured))

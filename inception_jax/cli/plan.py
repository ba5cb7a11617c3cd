"""Says, before a study runs, how many seeds it needs and what they cost.

  inception-jax plan factorization
  inception-jax plan resolution --effect 0.5 --power 0.9 --scale paper --device h100
  inception-jax plan factorization --data photos --results runs/factorization-photos

The noise is that of earlier results where there are any: of --results, runs/ or docs/results/.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from inception_jax import errors

SCALES = ("default", "paper")
# The smallest step of the paper's Table 3, in points.
EFFECT = 0.3
_DEVICE = {"default": "here", "paper": "a100"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("study", metavar="STUDY", help="a study of `inception-jax study --list`")
    parser.add_argument(
        "--effect", type=float, default=EFFECT, help="to be found, in points (default %(default)s)"
    )
    parser.add_argument("--power", type=float, default=0.8, help="(default %(default)s)")
    parser.add_argument(
        "--alpha", type=float, default=0.05, help="two-sided level (default %(default)s)"
    )
    parser.add_argument("--scale", choices=SCALES, help="one scale only (default: both)")
    parser.add_argument("--data", help="another data set than the study's own, at default scale")
    parser.add_argument("--device", help="here, a100, ... (default: here; a100 at paper scale)")
    parser.add_argument("--results", metavar="DIR", type=Path, help="earlier results of the study")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> None:
    """Prints the plan at each scale."""
    _check(args)
    from inception_jax.study import definition, devices, noise, plan_report, planning

    scales = (args.scale,) if args.scale else ("default",) if args.data else SCALES
    target = planning.Target(args.effect / 100, args.power, args.alpha)
    if args.device:
        devices.check(args.device)
    pairs = []
    for scale in scales:
        study = definition.load(args.study, scale, args.data)
        # earlier results are of one scale: at the other they are no estimate
        results = args.results if scale == scales[0] else None
        plan = planning.make(study, target, noise.fit(study, results, args.data))
        pairs.append((plan, devices.find(args.device or _DEVICE[scale])))
    if args.format == "json":
        print(json.dumps(plan_report.as_data(pairs), indent=2))
    else:
        plan_report.show(pairs)


def _check(args: argparse.Namespace) -> None:
    if not 0 < args.effect <= 100 or math.isnan(args.effect):
        raise errors.UsageError(
            f"--effect is in percentage points, above 0 and at most 100, got {args.effect:g}"
        )
    for name, low, high in (("power", 0.05, 0.9999), ("alpha", 1e-6, 0.5)):
        value = getattr(args, name)
        if not low <= value <= high:
            raise errors.UsageError(f"--{name} must be between {low:g} and {high:g}, got {value:g}")
    if args.results and not args.results.is_dir():
        raise errors.UserError(
            f"no folder {args.results}; --results takes a study's folder, or one with trials.csv"
        )

"""Prints the most probable classes of image files, by a run that was trained or imported.

inception-jax predict --workdir runs/one digit.png
inception-jax predict --workdir runs/torchvision photo.jpg another.png --top 3 --crops 12
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from inception_jax import errors


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--workdir", required=True, type=Path, metavar="DIR", help="a finished run")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes (default 5)")
    parser.add_argument("--crops", type=int, choices=(1, 12, 144), default=1)
    parser.add_argument(
        "--weights",
        choices=("raw", "ema"),
        help="last or averaged parameters (default: averaged, where they were kept)",
    )
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> None:
    """Predicts and prints."""
    if args.top < 1:
        raise errors.UsageError(f"--top must be at least 1, got {args.top}")
    from inception_jax.evaluate import images, members
    from inception_jax.train import programs

    programs.enable()
    member = members.open_member(args.workdir, args.weights or "both", args.checkpoint)
    kind = "ema" if "ema" in member.variables else "raw"
    member = dataclasses.replace(member, variables={kind: member.variables[kind]})
    found = images.predict(member, args.images, top=args.top, crops=args.crops)
    if args.format == "json":
        print(
            json.dumps([_plain(*pair) for pair in zip(args.images, found, strict=True)], indent=2)
        )
        return
    for path, guesses in zip(args.images, found, strict=True):
        print(path)
        for guess in guesses:
            print(f"  {100 * guess.probability:6.2f} %  {guess.index:4}  {guess.name}".rstrip())


def _plain(path: Path, guesses: Any) -> dict[str, Any]:
    return {"image": str(path), "top": [dataclasses.asdict(guess) for guess in guesses]}

"""Scores a finished run, or several as an ensemble: exact top-1 and top-5, loss, calibration.

Probabilities are averaged over the crops of an image (GoogLeNet's 144, or the 12 of its first
scale's centre square), then over the runs. docs/evaluation.md has the rules. A JSON file in
DIR/evaluations keeps the result:

  inception-jax evaluate --workdir runs/one
  inception-jax evaluate --workdir runs/one --crops 144 --per-class --save predictions.npz
  inception-jax evaluate --workdir runs/one --ensemble runs/two runs/three --weights ema
  inception-jax evaluate --workdir runs/torchvision --data folder --config.data.options.path=DIR
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inception_jax import errors

TAKES_OVERRIDES = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--workdir", required=True, type=Path, metavar="DIR", help="a finished run")
    parser.add_argument(
        "--ensemble", nargs="+", type=Path, default=[], metavar="DIR", help="further finished runs"
    )
    parser.add_argument("--crops", type=int, choices=(1, 12, 144), default=1)
    parser.add_argument(
        "--weights",
        choices=("raw", "ema", "both"),
        default="both",
        help="last or averaged parameters (default: both, where averages were kept)",
    )
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last")
    parser.add_argument("--data", metavar="NAME", help="another data set than the run's")
    parser.add_argument("--split", choices=("test", "validation", "train"), default="test")
    parser.add_argument("--per-class", action="store_true", help="also a line for every class")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="predictions as .npz or .csv, for paired tests"
    )
    parser.add_argument(
        "--save-top", type=int, default=0, metavar="K", help="save so many classes (default: all)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    parser.add_argument(
        "--config.data.KEY=VALUE", dest="ignored", action="store_true", help="sets a key of data"
    )


def run(args: argparse.Namespace) -> None:
    """Evaluates, writes and prints."""
    if args.save_top < 0:
        raise errors.UsageError(f"--save-top must be at least 0, got {args.save_top}")
    from inception_jax import startup

    startup.prepare()
    from inception_jax.evaluate import predictions
    from inception_jax.evaluate import run as evaluation
    from inception_jax.train import programs

    programs.enable()
    if args.save:
        predictions.check_suffix(args.save)
    overrides = {**({"data.name": args.data} if args.data else {}), **args.overrides}
    protocol = evaluation.Protocol(args.crops, args.weights, args.checkpoint, args.split, overrides)
    found = evaluation.evaluate(
        [args.workdir, *args.ensemble], protocol, _follow(shown=not args.quiet)
    )
    path = evaluation.write(found, args.workdir)
    saved = _save(found.predictions, args.save, args.save_top)
    classes = {
        kind: values.per_class(found.class_names) for kind, values in found.predictions.items()
    }
    if args.format == "json":
        more = {"per_class": classes} if args.per_class else {}
        print(json.dumps({**found.record, **more}, indent=2))
        return
    _print(found.record, classes if args.per_class else {})
    print(*(str(file) for file in (path, *saved)), sep="\n")


def _save(found: Any, path: Path | None, top: int) -> list[Path]:
    """FILE, or FILE-raw and FILE-ema where there are both."""
    if path is None:
        return []
    paths = {
        kind: path if len(found) == 1 else path.with_stem(f"{path.stem}-{kind}") for kind in found
    }
    for kind, predictions in found.items():
        predictions.save(paths[kind], top)
    return list(paths.values())


def _follow(*, shown: bool) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    hidden = not (shown and console.is_terminal)

    def follow(batches: Iterable[Any], number: int) -> Iterable[Any]:
        return track(batches, "", number, console=console, transient=True, disable=hidden)

    return follow


def _print(record: Any, classes: dict[str, list[dict[str, Any]]]) -> None:
    rows = [(kind, "all", values) for kind, values in record["results"].items()]
    if len(record["members"]) > 1:
        rows += [
            (kind, member["workdir"], values)
            for member in record["members"]
            for kind, values in member["results"].items()
        ]
    width = max(len("not on the blacklist"), *(len(model) for _, model, _ in rows))
    what = f"{record['data']} {record['split']}, {record['examples']} examples"
    print(f"{what}, {len(record['members'])} model(s), {record['crops']} crop(s)")
    print(f"{'weights':8}{'model':{width}} {'top1':>6} {'top5':>6} {'loss':>7} {'ece':>6}")
    for kind, model, values in rows:
        print(f"{kind:8}{model:{width}} {_scores(values)} {_percent(values['ece'])}")
        if "kept_top1" in values:
            line = f"{kind:8}{'not on the blacklist':{width}} {_scores(values, 'kept_')}"
            print(f"{line} {'':6} {_difference(values)}")
    for kind, table in classes.items():
        print(f"\n{kind:8}{'class':>5} {'examples':>8} {'top1':>6} {'top5':>6} predicted  name")
        for row in table:
            numbers = f"{row['class']:5} {row['examples']:8} {_percent(row['top1'])}"
            more = f"{_percent(row['top5'])} {row['predicted']:9}  {row['name']}"
            print(f"{'':8}{numbers} {more}")
    print()


def _scores(values: dict[str, float], prefix: str = "") -> str:
    top1, top5, loss = (values[prefix + name] for name in ("top1", "top5", "loss"))
    return f"{_percent(top1)} {_percent(top5)} {loss:7.4f}"


def _difference(values: dict[str, float]) -> str:
    """What leaving out the blacklist's images changes."""
    top1, top5 = (100 * values[f"kept_{name}_difference"] for name in ("top1", "top5"))
    kept, examples = values["kept_examples"], values["examples"]
    return f"{kept:,} of {examples:,}: {top1:+.2f} top1, {top5:+.2f} top5"


def _percent(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{100 * value:6.2f}"

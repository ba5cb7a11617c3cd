"""Counts what networks cost for one image, without running them.

A MAC is one multiply-add of a convolution or a dense layer; FLOPs are twice that.
Options of a network follow its name after commas; a site's name stands for its factorization:

  inception-jax cost inception_v3 inception_v3,grid35=stacked_3x3
  inception-jax cost inception_v3,aux=Mixed_6e --layers
  inception-jax cost inception_v3,stem_stride=1 --image-size 151 --format json
  inception-jax cost googlenet bn_inception inception_v3 --measure
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any

from inception_jax import errors, models
from inception_jax.cost.tables import HEADINGS, LAYER_HEADINGS, MEASURED, latex, layer_rows, row

if TYPE_CHECKING:
    from inception_jax.cost import StepTimes
    from inception_jax.models import InceptionNetwork

_BATCH_SIZE = 8  # images in a measured step


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "networks", nargs="*", metavar="NAME", help=f"default: all of {', '.join(models.names())}"
    )
    parser.add_argument("--image-size", type=int, help="side of the image, px; default: its own")
    parser.add_argument("--channels", type=int, default=3, help="of the image (default 3)")
    parser.add_argument("--num-classes", type=int, default=1000, help="(default 1000)")
    parser.add_argument(
        "--measure", action="store_true", help="adds the time of a step of evaluation and training"
    )
    parser.add_argument("--batch-size", type=int, help="images in a measured step (default 8)")
    parser.add_argument("--layers", action="store_true", help="a row for each layer")
    parser.add_argument("--blocks", action="store_true", help="a row for each block")
    parser.add_argument("--format", choices=("table", "json", "csv", "latex"), default="table")


def run(args: argparse.Namespace) -> None:
    """Prints the costs."""
    from inception_jax import cost

    if args.measure and (args.layers or args.blocks):
        raise errors.UsageError("--measure times whole networks; leave out --layers and --blocks")
    if args.batch_size is not None and (args.batch_size < 1 or not args.measure):
        raise errors.UsageError("--batch-size is for --measure, and at least 1")
    rows: list[dict[str, Any]] = []
    for text, model, size in _networks(args):
        counted = cost.count(model, size, args.channels)
        if args.layers or args.blocks:
            parts = counted.layers if args.layers else counted.blocks()
            rows += layer_rows(text, parts)
        else:
            times = _measure(text, model, size, args) if args.measure else None
            rows.append(row(text, size, counted, times))
    headings = LAYER_HEADINGS if args.layers or args.blocks else HEADINGS
    print(render(rows, args.format, {**headings, **MEASURED} if args.measure else headings))
    if args.measure and args.format == "table":
        print(_measured_where(args.batch_size or _BATCH_SIZE))


def _networks(args: argparse.Namespace) -> list[tuple[str, InceptionNetwork, int]]:
    """What to count: each with its text and its image's side, px; all of them before the first."""
    found: list[tuple[str, InceptionNetwork, int]] = []
    for text in args.networks or models.names():
        name, overrides = parse_network(text)
        size = models.image_size(name) if args.image_size is None else args.image_size
        if size < 1 or args.channels < 1 or args.num_classes < 1:
            raise errors.UsageError("--image-size, --channels and --num-classes must be at least 1")
        model = models.create(name, num_classes=args.num_classes, **overrides)
        found.append((text, model, size))
        notes = models.notes(model, size, args.channels)
        for note in (*notes, *models.idle_choices(model, args.channels)):
            print(f"{text}: {note}", file=sys.stderr)
    return found


def _measure(text: str, model: InceptionNetwork, size: int, args: argparse.Namespace) -> StepTimes:
    from inception_jax import cost

    def progress(stage: str) -> None:
        print(f"{text}: {stage}", file=sys.stderr)

    batch_size = args.batch_size or _BATCH_SIZE
    return cost.step_seconds(model, size, args.channels, batch_size=batch_size, progress=progress)


def _measured_where(batch_size: int) -> str:
    import jax

    device = jax.devices()[0]
    return (
        f"ms: median of 5 steps of {batch_size} images on {device.device_kind}, input not counted."
    )


def parse_network(text: str) -> tuple[str, dict[str, Any]]:
    """`inception_v3,grid35=stacked_3x3,bn_scale=false` as name and overrides.

    Raises:
        UsageError: a part without "=".
    """
    name, *parts = text.split(",")
    overrides: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise errors.UsageError(f"{part!r} in {text!r} is not KEY=VALUE")
        path = key.split(".")
        if path[0] in models.SITES:
            path = ["factorization", *path]
        if path[0] == "aux" and len(path) == 1:
            path = ["aux", "sites"]
        owner = overrides
        for step in path[:-1]:
            owner = owner.setdefault(step, {})
            if not isinstance(owner, dict):
                raise errors.UsageError(f"{part!r} in {text!r}: {step!r} has a value already")
        owner[path[-1]] = _value(path, value)
    return name, overrides


def _value(path: list[str], text: str) -> Any:
    if path == ["aux", "sites"]:
        return tuple(filter(None, text.split("+")))
    try:
        return json.loads(text.lower())
    except json.JSONDecodeError:
        return text


def render(rows: list[dict[str, Any]], form: str, headings: dict[str, str]) -> str:
    """The rows as JSON, CSV, LaTeX or a table of the terminal's width."""
    if form == "json":
        return json.dumps(rows, indent=2)
    if form == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(headings), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().rstrip("\n")
    if form == "latex":
        return latex(rows, headings)
    return _table(rows, headings)


def _table(rows: list[dict[str, Any]], headings: dict[str, str]) -> str:
    texts = [[_cell(r.get(key, "")) for key in headings] for r in rows]
    columns = list(zip(headings.values(), *texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(_is_number(r.get(key, "")) for r in rows) for key in headings]

    def line(cells: list[str]) -> str:
        padded = (
            c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    body = [line(cells) for cells in texts]
    rule = "MAC: a multiply-add of a convolution or dense layer, one image; FLOPs = 2 MACs."
    return "\n".join([line(list(headings.values())), *body, rule])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return str(value)

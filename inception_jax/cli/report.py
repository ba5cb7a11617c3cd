"""Rebuilds a study's table, pages and figures from its trial folders, finished or not.

  inception-jax report runs/factorization
  inception-jax report --index runs                          # a row for every claim
  inception-jax report --index runs --publish docs/results   # ... and pages to commit

What was published before stays: the published index is of all studies that ever were. `--publish`
alone rebuilds it from the published folders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inception_jax import errors


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", help="the study's folder, or its URL")
    parser.add_argument(
        "--index", metavar="RUNS", type=Path, help="all studies in a folder, and all claims"
    )
    parser.add_argument("--publish", metavar="FOLDER", type=Path, help="also write pages to commit")


def run(args: argparse.Namespace) -> None:
    """Writes report.html, report.md, trials.csv and table.tex of a study, or the index of all."""
    if args.folder and args.index:
        raise errors.UsageError("give a study's folder or --index RUNS, not both")
    if args.folder:
        _one(args.folder, args.publish)
    elif args.index:
        _all(args.index, args.publish)
    elif args.publish:
        _published(args.publish)
    else:
        raise errors.UsageError("which study? give its folder, or --index RUNS for all of them")


def _one(place: str, folder: Path | None) -> None:
    from rich.console import Console

    from inception_jax.study import index, publish, report, sync, terminal

    root = sync.for_reading(place)
    made, console, page = report.make(root), Console(), None
    kept = ""
    if folder is not None:
        _, kept = publish.study(made, publish.folder_name(Path(place)), folder)
        index.publish(folder)
        page = folder / publish.folder_name(Path(place)) / publish.PAGE
    terminal.show(made.summary, console)
    if kept:
        console.print(kept, style="yellow", highlight=False, markup=False)
    console.print(f"report: {page or made.page}", highlight=False, soft_wrap=True)


def _all(runs: Path, folder: Path | None) -> None:
    from rich.console import Console

    from inception_jax.study import publish, terminal

    rows, page, kept = publish.all_of(runs, folder)
    console = Console()
    terminal.show_index(rows, console)
    for line in kept:
        console.print(line, style="yellow", highlight=False, markup=False)
    console.print(f"index: {page}", highlight=False, soft_wrap=True)


def _published(folder: Path) -> None:
    from rich.console import Console

    from inception_jax.study import index, record, terminal

    if not record.read_all(folder):
        raise errors.UserError(f"{folder} holds no published study; give --index RUNS, too")
    console = Console()
    terminal.show_index(index.publish(folder), console)
    console.print(f"index: {folder / 'index.md'}", highlight=False, soft_wrap=True)

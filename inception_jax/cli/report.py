"""Rebuilds a study's table, pages and figures from its trial folders, finished or not.

inception-jax report runs/factorization
"""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="the study's folder")
    parser.add_argument("--publish", metavar="FOLDER", type=Path, help="also write pages to commit")


def run(args: argparse.Namespace) -> None:
    """Writes report.html, report.md, trials.csv and table.tex, and prints the table."""
    from rich.console import Console

    from inception_jax.study import report, terminal

    summary, page = report.write(args.folder)
    if args.publish:
        page = report.publish(args.folder, args.publish)
    console = Console()
    terminal.show(summary, console)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)

"""Lists the data sets that load by name, or prepares one before it is needed.

inception-jax data list
inception-jax data prepare photos
"""

from __future__ import annotations

import argparse
import shutil
import textwrap

from inception_jax import config as config_lib
from inception_jax import errors

TAKES_OVERRIDES = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("action", choices=("list", "prepare"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the data set to prepare")
    parser.add_argument("--dir", default="", help="where prepared data lives (default: the cache)")


def run(args: argparse.Namespace) -> None:
    """Lists or prepares."""
    from inception_jax import data

    if args.action == "list":
        if args.name is not None:
            raise errors.UsageError(f"list takes no name, got {args.name!r}; it lists them all")
        names = data.names()
        indent = " " * (max(map(len, names)) + 2)
        for name, line in names.items():
            text = f"{name:<{len(indent)}}{line}"
            width = shutil.get_terminal_size().columns
            print(textwrap.fill(text, width, subsequent_indent=indent))
        return
    if args.name is None:
        raise errors.UsageError("which data set? inception-jax data list names them")
    overrides = {"data.name": args.name, "data.dir": args.dir, **args.overrides}
    dataset = data.prepare(config_lib.apply(config_lib.default(), overrides).data)
    sizes = ", ".join(f"{split} {count:,}" for split, count in dataset.sizes.items())
    print(f"{dataset.name}: {sizes}; {dataset.num_classes} classes")

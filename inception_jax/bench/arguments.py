"""What benchmarks share on the command line: the network, numbers that have to be positive."""

from __future__ import annotations

import argparse


def network(parser: argparse.ArgumentParser) -> None:
    """Adds which network is measured, and any key of the config."""
    parser.add_argument("--network", default="inception_v3", metavar="NAME")
    parser.add_argument(
        "--config.KEY=VALUE", dest="ignored", action="store_true", help="sets a key of the config"
    )


def count(text: str) -> int:
    """An integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


def seconds(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value

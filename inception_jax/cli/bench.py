"""Measures speed: training steps, evaluation, reading of images, a whole study.

inception-jax bench train
inception-jax bench eval --against torchvision --format json
inception-jax bench profile
inception-jax bench data
inception-jax bench study --seeds 2
inception-jax bench folder --trials 1000
inception-jax bench launchers
inception-jax bench all --format markdown
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from inception_jax.cli.main import Parser

TAKES_OVERRIDES = True
# what is measured -> what that says, and its module, with `configure(parser)` and `run(args)`
MEASURES = {
    "train": ("training steps", "inception_jax.bench.steps"),
    "eval": ("evaluation, batch norm folded", "inception_jax.bench.steps"),
    "profile": ("where a step's time goes", "inception_jax.bench.profile"),
    "data": ("reading, decoding and cropping of images", "inception_jax.bench.data"),
    "study": ("a default study, against one trial after another", "inception_jax.bench.study"),
    "folder": ("a large study's own work: run, resume, report", "inception_jax.bench.folder"),
    "launchers": ("what launchers cost beside their trials", "inception_jax.bench.launchers"),
    "all": ("all that has a target, as one table", "inception_jax.bench.everything"),
}


class _Measure(Parser):
    """The parser of one measure, whose module is loaded only when it is asked for."""

    module = ""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """As argparse's, with the module's arguments added first."""
        module = importlib.import_module(self.module)
        self.description = module.__doc__
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        self.allow_abbrev = False
        module.configure(self)
        return super().parse_known_args(*args, **kwargs)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the measures; each adds its own arguments."""
    measures = parser.add_subparsers(dest="measure", required=True, parser_class=_Measure)
    for name, (what, module) in MEASURES.items():
        measures.add_parser(name, help=what).module = module


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    importlib.import_module(MEASURES[args.measure][1]).run(args)

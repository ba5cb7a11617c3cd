"""Reads the command line, runs one subcommand, turns a user's mistake into one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from inception_jax import __version__
from inception_jax.errors import UsageError, UserError, unknown

# name -> what it does; each is a module of this package with `configure(parser)` and `run(args)`
COMMANDS = {
    "study": "run a study: arms x seeds, then a table with verdicts",
    "plan": "seeds, images, MACs and device-hours that a study takes",
    "controls": "false-positive rate and power of the verdicts, measured",
    "report": "rebuild a study's tables and pages from its trials",
    "cost": "parameters, MACs and depth of networks",
    "train": "train one network from a config",
    "evaluate": "score a finished run, or several as an ensemble",
    "predict": "the most probable classes of image files",
    "weights": "import and export weights of other frameworks",
    "data": "list or prepare data sets",
    "bench": "measure speed, alone or against PyTorch",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with the message and where to read more."""
        print(f"inception-jax: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (it failed) or 2 (wrong usage)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = bool(os.environ.get("INCEPTION_JAX_DEBUG"))
    try:
        return _dispatch(words)
    except UserError as error:
        if debug:
            raise
        print(f"inception-jax: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("inception-jax: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"inception-jax {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    command = importlib.import_module(f"inception_jax.cli.{name}")
    parser = Parser(
        prog=f"inception-jax {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    args, extra = parser.parse_known_args(rest)
    overrides = dict(_override(word) for word in extra)
    if overrides and not getattr(command, "TAKES_OVERRIDES", False):
        raise UsageError(f"unknown argument {extra[0]!r} (see inception-jax {name} --help)")
    args.overrides = overrides
    return command.run(args) or 0


def _override(word: str) -> tuple[str, str]:
    """`--config.optim.learning_rate=0.01` as key and text."""
    key, equals, value = word.partition("=")
    if not key.startswith("--config.") or not equals:
        hint = "; an override is --config.KEY=VALUE" if key.startswith("--config") else ""
        raise UsageError(f"unknown argument {word!r}{hint}")
    return key.removeprefix("--config."), value


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: inception-jax COMMAND [options]",
            "",
            'The ablations of "Rethinking the Inception Architecture" in JAX and Flax.',
            "",
            *lines,
            "",
            "Each has --help with an example. First steps:",
            "  inception-jax study factorization",
            "  inception-jax cost inception_v3 --layers",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

"""Trains one network from a config file, or goes on with it where it stopped.

Any key of the config can be set after the file; `inception_jax/config.py` lists them:

  inception-jax train --config configs/mnist5k.py --workdir runs/one --config.seed=3
"""

from __future__ import annotations

import argparse

from inception_jax.errors import UsageError

TAKES_OVERRIDES = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--config", required=True, metavar="FILE.py[:ARG]", help="a file of configs/"
    )
    parser.add_argument(
        "--workdir", required=True, metavar="DIR", help="receives all that it writes"
    )
    parser.add_argument(
        "--profile",
        type=int,
        nargs="?",
        const=5,
        default=0,
        metavar="STEPS",
        help="trace a few steps (default 5) into DIR/profile, for TensorBoard or Perfetto",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    parser.add_argument(
        "--config.KEY=VALUE", dest="ignored", action="store_true", help="sets a key of the config"
    )


def run(args: argparse.Namespace) -> None:
    """Trains, evaluates and prints the scores."""
    if args.profile < 0:
        raise UsageError(f"--profile must be at least 0, got {args.profile}")
    from inception_jax import config as config_lib
    from inception_jax import startup

    config = config_lib.apply(config_lib.load_file(args.config), args.overrides)
    startup.prepare_for(config)
    from inception_jax import train
    from inception_jax.train import programs

    programs.enable()
    result = train.run(config, args.workdir, progress=not args.quiet, profile=args.profile)
    for name, value in result["metrics"].items():
        print(f"{name:24} {value:.4f}")
    print(f"{result['steps']} steps; {args.workdir}/result.json")

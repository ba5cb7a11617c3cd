"""Runs a study: every arm times every seed, each in its own process, then the table.

What is finished is never run again: stopped by Ctrl-C or a kill, the same command goes on.

  inception-jax study factorization
  inception-jax study resolution --data photos --seeds 10
  inception-jax study factorization --launcher slurm --needs gpus=1 --slurm partition=gpu
  inception-jax study factorization --status
  inception-jax study all --scale smoke
  inception-jax study --list
"""

from __future__ import annotations

import argparse
import functools

from inception_jax import errors

SCALES = ("smoke", "default", "paper")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a study of --list, or all")
    parser.add_argument(
        "--status", action="store_true", help="how far it is, from any shell; NAME may be all"
    )
    parser.add_argument("--list", action="store_true", help="name the studies and their claims")
    parser.add_argument("--workdir", help="the study's folder, or its URL (default runs/NAME...)")
    parser.add_argument("--data", help="another data set than the study's own")
    parser.add_argument("--seeds", type=int, help="another number of seeds than the study's own")
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="default",
        help="smoke: a minute or so; default: minutes on a laptop; paper: ImageNet",
    )
    parser.add_argument("--launcher", default="local", help="local (default), ray or slurm")
    parser.add_argument(
        "--jobs",
        type=int,
        help="trials at once (default: one a GPU, else a core; more than GPUs share them)",
    )
    parser.add_argument(
        "--needs",
        metavar="KEY=N,...",
        help="of each process of a trial: cpus, gpus, tpus, memory (GB); processes of a trial",
    )
    parser.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="ends a trial that takes longer"
    )
    parser.add_argument(
        "--address", help="of a Ray cluster, HOST:PORT (default: starts a Ray here)"
    )
    parser.add_argument(
        "--slurm", metavar="KEY=VALUE,...", help="sbatch parameters: partition, ..."
    )
    parser.add_argument(
        "--track", metavar="NAME,...", help="tell of finished trials: tensorboard, wandb, mlflow"
    )
    parser.add_argument(
        "--early", action="store_true", help="stop what the study's early looks have settled"
    )


def run(args: argparse.Namespace) -> int:
    """Runs or lists studies."""
    if args.list:
        _list()
        return 0
    if args.name is None:
        raise errors.UsageError("which study? inception-jax study --list names them")
    if args.status:
        _status(args)
        return 0
    from inception_jax.study import everything, runner

    of_all = args.name == everything.ALL
    run_it = everything.run if of_all else functools.partial(runner.run, args.name)
    run_it(
        args.workdir,
        data=args.data,
        seeds=args.seeds,
        scale=args.scale,
        launcher=args.launcher,
        jobs=args.jobs,
        needs=args.needs,
        time_limit=args.time_limit,
        address=args.address,
        slurm=args.slurm,
        early=args.early,
        track=args.track,
    )
    return 0


def _status(args: argparse.Namespace) -> None:
    from pathlib import Path

    from rich.console import Console

    from inception_jax.study import definition, runner, status, sync

    console = Console()
    if args.name == "all":
        status.show_all(Path(args.workdir or "runs"), console)
        return
    study = definition.load(args.name, args.scale, args.data)
    own = args.data is not None and args.data == definition.load(args.name, args.scale).data
    given = runner.default_workdir(study.name, None if own else args.data, args.scale)
    place = str(args.workdir or given)
    status.show(sync.for_reading(place), console, place)


def _list() -> None:
    from inception_jax.study import definition

    for name in definition.names():
        study = definition.load(name)
        print(f"{name} (data: {study.data}): {study.question}")
        for claim in (*study.questions, *study.costs):
            print(f"  {claim.claim:<3} {claim.statement}")

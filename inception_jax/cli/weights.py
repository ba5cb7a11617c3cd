"""Weights of other frameworks: import makes a run's folder of them, export a file of a run.

SOURCE says whose rules and names: torchvision, timm, keras, slim, bninception. import prints the
rules (padding count, batch norm, input, classes, crop); OUT is then used like a finished run:

  inception-jax weights import torchvision inception_v3_google-0cc3c7bd.pth runs/torchvision
  inception-jax weights import slim inception_v3.ckpt runs/slim --aux drop
  inception-jax weights export torchvision runs/torchvision inception_v3.safetensors

Files are parsed without torch or TensorFlow, and nothing in them is run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inception_jax import errors


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("action", choices=("import", "export"))
    parser.add_argument("source", metavar="SOURCE", help="the framework")
    parser.add_argument("file", metavar="FILE", help="import: its file; export: a run's folder")
    parser.add_argument("out", metavar="OUT", help="import: a folder; export: .safetensors or .npz")
    parser.add_argument("--network", help="as in the source (default: its first)")
    parser.add_argument(
        "--aux",
        choices=("load", "drop", "init"),
        help="auxiliary heads (default: load where the file has them)",
    )
    parser.add_argument("--num-classes", type=int, help="makes a new classifier of so many")
    parser.add_argument(
        "--ema", action="store_true", help="takes the averages that a run's checkpoint holds"
    )


def run(args: argparse.Namespace) -> None:
    """Converts one set of weights."""
    {"import": _import, "export": _export}[args.action](args)


def _import(args: argparse.Namespace) -> None:
    from inception_jax import weights
    from inception_jax.weights import folder

    if args.num_classes is not None and args.num_classes < 1:
        raise errors.UsageError("--num-classes must be at least 1")
    imported = weights.read(
        args.source,
        args.file,
        network=args.network,
        aux=args.aux,
        num_classes=args.num_classes,
        ema=args.ema,
    )
    imported = weights.fold_input(imported)
    folder.save(imported, Path(args.out), f"{args.source} {Path(args.file).name}")
    for line in (*imported.rules.lines(), *imported.notes):
        print(line)
    count = folder.parameters(imported.variables)
    heads = ", ".join(imported.model.options.aux.sites) or "none"
    print(f"{count:,} parameters, auxiliary heads: {heads}; {args.out}")


def _export(args: argparse.Namespace) -> None:
    from inception_jax import weights
    from inception_jax.weights import folder

    model, variables = folder.open_run(Path(args.file))
    tensors = weights.export(args.source, model, variables)
    weights.write(args.out, tensors)
    print(f"{len(tensors)} tensors, named as in {args.source}; {args.out}")

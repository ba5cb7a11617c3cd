"""Measures training steps, or evaluation with batch norm folded, alone or against PyTorch.

Without options: inception_v3, float32, 299 px, batch 8, as `inception-jax train` would run it;
inception_small is measured at 28 px and batch 64. Any key of the config can be set:

  inception-jax bench train
  inception-jax bench eval --against torchvision --format json
  inception-jax bench train --network inception_small --against torchvision
  inception-jax bench train --config.model.remat=true --config.data.batch_size=16

PyTorch takes turns with us in a process of its own, in its channels_last form, with torchvision's
network where that is installed and else the same layers. INCEPTION_JAX_BENCH_TORCH names the
interpreter that has torch, where it is not this one. Each round is a few seconds of one side; the
figures are medians, and beside them the lowest and the highest round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

from inception_jax.bench import arguments, compare, setting
from inception_jax.bench.compare import Side

_AGAINST = ("torchvision", "torch.compile")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    arguments.network(parser)
    parser.add_argument("--against", choices=_AGAINST, help="also measure PyTorch")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--rounds", type=arguments.count, default=5, help="of each side (default 5)"
    )
    parser.add_argument(
        "--seconds", type=arguments.seconds, default=5.0, help="a round lasts at least (default 5)"
    )


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    chosen = setting.create(
        args.measure, args.network, args.overrides, compiled=args.against == "torch.compile"
    )
    sides = compare.measure(
        chosen,
        against=bool(args.against),
        rounds=args.rounds,
        seconds=args.seconds,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    content = summary(chosen, sides, args.against)
    print(json.dumps(content, indent=2) if args.format == "json" else text(content))


def summary(
    chosen: setting.Setting, sides: tuple[Side, ...], against: str | None
) -> dict[str, Any]:
    """What a benchmark found, as JSON has it."""
    config = chosen.config
    content = {
        "measure": chosen.measure,
        "network": config.model.name,
        "image_size": config.data.image_size,
        "batch_size": config.data.batch_size,
        "dtype": config.model.dtype,
        "remat": config.model.remat,
        **_side(sides[0]),
    }
    if len(sides) == 1:
        return content
    found = compare.ratios(*sides)
    return content | {
        "ratio": round(statistics.median(found), 4),
        "ratio_spread": [round(min(found), 4), round(max(found), 4)],
        "against": {"name": against, **_side(sides[1])},
    }


def _side(side: Side) -> dict[str, Any]:
    bound = {} if side.at_peak is None else {"images_per_second_at_peak": round(side.at_peak, 2)}
    return {
        "images_per_second": round(side.images_per_second, 3),
        "spread": [round(min(side.rates), 3), round(max(side.rates), 3)],
        "rounds": [round(rate, 3) for rate in side.rates],
        "compile_seconds": round(side.compile_seconds, 2),
        "peak_bytes": side.peak_bytes,
        "ready_bytes": side.ready_bytes,
        "compiler_bytes": side.compiler_bytes,
        **bound,
        **side.about,
    }


def text(content: dict[str, Any]) -> str:
    """The same, to be read."""
    lines = [
        "{measure} of {network}, {image_size} px, batch {batch_size}, {dtype}".format(**content),
        _line("inception_jax", content),
    ]
    if "ratio" in content:
        lines.append(_line(content["against"]["name"], content["against"]))
        lowest, highest = content["ratio_spread"]
        lines.append(f"ratio {content['ratio']:.3f} ({lowest:.3f} to {highest:.3f})")
    if "images_per_second_at_peak" in content:
        bound = content["images_per_second_at_peak"]
        share = content["images_per_second"] / bound
        lines.append(f"{share:.0%} of {bound:.2f} images/s, all of it products at their peak")
    versions = content["versions"] | content.get("against", {}).get("versions", {})
    machine = content["machine"]
    lines.append(", ".join(f"{name} {version}" for name, version in versions.items()))
    lines.append(f"{machine['cpu']}, {machine['cores']} cores; {machine['devices']} devices of XLA")
    return "\n".join(lines)


def _line(name: str, side: dict[str, Any]) -> str:
    lowest, highest = side["spread"]
    return (
        f"{name:14} {side['images_per_second']:9.2f} images/s ({lowest:.2f} to {highest:.2f}), "
        f"first step {side['compile_seconds']:.1f} s, peak {side['peak_bytes'] / 1e9:.2f} GB"
    )

"""Makes the table of docs/performance.md: every measure that has a target, one after the other.

  inception-jax bench all --rounds 5 --format markdown

Training and evaluation of inception_v3 at 299 px and batch 8, training of inception_small at 28 px
and batch 64, each in alternating rounds against PyTorch; the first step of a process with an empty
cache of compiled programs and with a full one; the default study against its trials one after
another without a cache; and the lines of source behind it. INCEPTION_JAX_BENCH_TORCH names the
interpreter that has torch. A study of all seeds takes many minutes: --seeds takes fewer, and
--only a few of the measures.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inception_jax import ops, startup
from inception_jax.bench import arguments, compare, setting, steps, study

_STEPS = {
    "train": ("train", "inception_v3", 1.10),
    "eval": ("eval", "inception_v3", 1.40),
    "small": ("train", "inception_small", 1.5),
}
# measure -> most seconds
_FIRST = {"cold": 15.0, "warm": 4.0}
_STUDY, _SPEEDUP = "factorization", 1.8
_LINES = 400
MEASURES = (*_STEPS, "first", "study", "source")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--rounds", type=arguments.count, default=5, help="of each side (default 5)"
    )
    parser.add_argument(
        "--seconds", type=arguments.seconds, default=5.0, help="a round lasts at least"
    )
    parser.add_argument("--seeds", type=arguments.count, help="of the study (default: its own)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    content: dict[str, Any] = {}
    for name in args.only:
        print(f"== {name}", file=sys.stderr, flush=True)
        content[name] = _measure(name, args)
    print(json.dumps(content, indent=2) if args.format == "json" else markdown(content))


def _measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    if name == "source":
        return {"lines": source_lines(Path(ops.__file__).parent)}
    if name == "study":
        return study.measure(_STUDY, "default", args.seeds)
    if name == "first":
        return _first_steps(args.rounds)
    measure, network, _ = _STEPS[name]
    chosen = setting.create(measure, network, {})
    sides = compare.measure(
        chosen, against=True, rounds=args.rounds, seconds=args.seconds, report=_say
    )
    return steps.summary(chosen, sides, "torchvision")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _first_steps(rounds: int) -> dict[str, Any]:
    """Seconds from the shell to the end of the first training step, and what that step took."""
    chosen = setting.create("train", "inception_v3", {})
    found = {name: {"seconds": [], "step_seconds": []} for name in _FIRST}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, taken in found.items():
                seconds, step = compare.first_step(chosen, Path(folder))
                taken["seconds"].append(round(seconds, 2))
                taken["step_seconds"].append(round(step, 2))
                _say(f"first step, {name} cache: {seconds:.2f} s")
    return found


def source_lines(folder: Path) -> int:
    """Lines of code of a package: without blank lines, comments and docstrings."""
    return sum(_code_lines(path.read_text(encoding="utf-8")) for path in folder.glob("*.py"))


def _code_lines(text: str) -> int:
    kept = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#")
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            kept -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(kept)


def markdown(content: dict[str, Any]) -> str:
    """The table, and below it the machine and the versions."""
    lines = [
        "| measure | ours | against it | ratio (lowest to highest round) | target | bound |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, found in content.items():
        lines += _ROWS.get(name, _step_rows)(name, found)
    about = next((content[name] for name in _STEPS if name in content), None)
    if about:
        versions = about["versions"] | about["against"]["versions"]
        machine = about["machine"]
        named = ", ".join(f"{package} {version}" for package, version in versions.items())
        devices = f"{machine['cores']} cores, {machine['devices']} devices of XLA"
        lines += ["", f"{machine['cpu']}, {devices}; {named}."]
    return "\n".join(lines)


def _step_rows(name: str, found: dict[str, Any]) -> list[str]:
    what = {"train": "training step", "eval": "evaluation, folded"}[found["measure"]]
    other, bound = found["against"], found["images_per_second_at_peak"]
    before, apart = (found[key] / 1e9 for key in ("ready_bytes", "compiler_bytes"))
    label = f"{what}, `{found['network']}`, {found['image_size']} px, batch {found['batch_size']}"
    lowest, highest = found["ratio_spread"]
    share = found["images_per_second"] / bound
    return [
        f"| {label}, images/s | {found['images_per_second']:.2f} | {other['images_per_second']:.2f}"
        f" | {found['ratio']:.2f} ({lowest:.2f} to {highest:.2f}) | ≥ {_STEPS[name][2]:.2f} "
        f"| {bound:.1f} at the products' peak: {share:.0%} |",
        f"| its peak of memory, GB | {found['peak_bytes'] / 1e9:.2f} "
        f"| {other['peak_bytes'] / 1e9:.2f} | {found['peak_bytes'] / other['peak_bytes']:.2f} "
        f"| ≤ 1 | {before:.2f} before its first step; its compiler, apart: {apart:.2f} |",
    ]


def _first_rows(name: str, found: dict[str, Any]) -> list[str]:
    del name
    rows = []
    for which, taken in found.items():
        all_of_it, step = (taken[kind] for kind in ("seconds", "step_seconds"))
        rows.append(
            f"| first training step from the shell, {which} cache, s "
            f"| {statistics.median(all_of_it):.1f} ({min(all_of_it):.1f} to {max(all_of_it):.1f}) "
            f"| | | ≤ {_FIRST[which]:.0f} | {statistics.median(step):.1f} of it the step's own |"
        )
    return rows


def _study_rows(name: str, found: dict[str, Any]) -> list[str]:
    del name
    seeds = "" if found["seeds"] is None else f", {found['seeds']} seeds"
    return [
        f"| study `{found['study']}`{seeds}, s | {found['seconds']:.0f} "
        f"| {found['one_after_another_seconds']:.0f} | {found['ratio']:.2f} | ≥ {_SPEEDUP} "
        f"| {startup.cores()} by trials at once, the rest by the cache |"
    ]


def _source_rows(name: str, found: dict[str, Any]) -> list[str]:
    del name
    return [f"| lines of source of `ops` | {found['lines']} | | | < {_LINES} | – |"]


_ROWS: dict[str, Callable[[str, dict[str, Any]], list[str]]] = {
    "first": _first_rows,
    "study": _study_rows,
    "source": _source_rows,
}

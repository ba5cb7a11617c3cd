"""Where a step's time goes, by kind of program, beside what the device could do.

  inception-jax bench profile
  inception-jax bench profile --measure eval --network inception_small
  inception-jax bench profile --config.model.ops=xla --format json

A few steps are traced by JAX's profiler. Of every program the compiled step says how many products
it needs and how many bytes it moves; beside the time that it took stands the time that these would
take at the peaks measured in the same process: of matrix products, and of reading and writing
arrays larger than any cache. (What stays in a cache can be faster than that.) Times are of one
device; the mean of all. For CPUs: elsewhere `train --profile` writes a trace.

On one core every program's time is its own. On several, programs run at the same time, and large
products go on in other threads after their event has ended, and show as waiting; so take one:

  taskset -c 0 inception-jax bench profile --config.data.batch_size=4
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from inception_jax import errors, startup
from inception_jax.bench import arguments, hlo
from inception_jax.bench import setting as settings

_WARM_UP = 3
_COSTLIEST = 12
_HEAD = "kind           programs       ms  share    GFLOP      GB  bound, ms  near"


class Row(NamedTuple):
    """All programs of a kind, or one of them: a step's sums on one device.

    Attributes:
        programs: how often one ran.
        seconds: they took.
        flops: of their products.
        moved: bytes of their arguments and results.
        bound: seconds that their products and bytes would take at the peaks, of each program the
            longer of the two.
    """

    programs: float
    seconds: float
    flops: float
    moved: float
    bound: float


class Peaks(NamedTuple):
    """What one device reaches while all are at work.

    Attributes:
        flops: of matrix products, FLOP/s.
        moved: reading and writing memory, bytes/s.
    """

    flops: float
    moved: float


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    arguments.network(parser)
    parser.add_argument("--measure", dest="what", choices=("train", "eval"), default="train")
    parser.add_argument("--steps", type=arguments.count, default=5, help="traced (default 5)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> None:
    """Measures and prints."""
    setting = settings.create(args.what, args.network, args.overrides)
    startup.prepare_for(setting.config, training=setting.measure == "train")
    print("compiling", file=sys.stderr, flush=True)
    content = measure(setting, args.steps)
    print(json.dumps(content, indent=2) if args.format == "json" else text(content))


def measure(setting: settings.Setting, steps: int) -> dict[str, Any]:
    """Traces some steps and sums up what their programs took.

    Raises:
        UserError: a network, an option or a number of devices that does not exist, or no CPU.
    """
    import jax

    from inception_jax.bench import ours, peak
    from inception_jax.train import mesh as meshes

    if jax.default_backend() != "cpu":
        raise errors.UserError(
            "bench profile reads the programs that XLA makes for a CPU; elsewhere use "
            "'inception-jax train CONFIG --profile N' and open its trace in XProf or Perfetto"
        )
    program = ours.create(setting, keep=False)
    compiled = program.function.lower(*program.arguments).compile()
    step = ours.repeated(program, compiled)
    for _ in range(_WARM_UP):
        step()
    took = _seconds(step, steps)
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            took_traced = _seconds(step, steps)
        events = traced(Path(folder))
    mesh = meshes.create(setting.config)
    products = peak.matrix_product_peak(mesh, setting.config.model.dtype)
    peaks = Peaks(products / mesh.size, peak.memory_peak(mesh) / mesh.size)
    kinds, single = summed(hlo.programs(compiled.as_text()), events, steps * mesh.size, peaks)
    return {
        "measure": setting.measure,
        "network": setting.config.model.name,
        "image_size": setting.config.data.image_size,
        "batch_size": setting.config.data.batch_size,
        "devices": mesh.size,
        "step_seconds": took,
        "traced_step_seconds": took_traced,
        "flops_per_second": peaks.flops,
        "bytes_per_second": peaks.moved,
        "kinds": {kind: row._asdict() for kind, row in kinds.items()},
        "costliest": [{"program": name, **row._asdict()} for name, row in single[:_COSTLIEST]],
        **ours.about(),
    }


def _seconds(step: Callable[[], None], steps: int) -> float:
    """What one of so many steps takes."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def traced(folder: Path) -> dict[str, tuple[int, float]]:
    """Name of a program -> how often it ran, and for how many seconds, of a profiler's trace."""
    import jax

    (file,) = folder.rglob("*.xplane.pb")
    counts: dict[str, int] = collections.defaultdict(int)
    seconds: dict[str, float] = collections.defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            for event in line.events:
                counts[event.name] += 1
                seconds[event.name] += event.duration_ns / 1e9
    return {name: (count, seconds[name]) for name, count in counts.items()}


def summed(
    programs: dict[str, hlo.Program], events: dict[str, tuple[int, float]], runs: int, peaks: Peaks
) -> tuple[dict[str, Row], list[tuple[str, Row]]]:
    """By kind, and each program, the costliest first; of one of `runs` runs on one device."""
    kinds = {kind: Row(0, 0, 0, 0, 0) for kind in hlo.KINDS}
    single: list[tuple[str, Row]] = []
    for name, program in programs.items():
        count, seconds = events.get(name, (0, 0.0))
        bound = max(program.flops / peaks.flops, program.moved / peaks.moved)
        each = program.flops, program.moved, bound
        row = Row(count / runs, seconds / runs, *(count / runs * one for one in each))
        kinds[program.kind] = Row(*map(sum, zip(kinds[program.kind], row, strict=True)))
        single.append((f"{name} {program.part}".strip(), row))
    return kinds, sorted(single, key=lambda one: -one[1].seconds)


def text(content: dict[str, Any]) -> str:
    """The profile, to be read."""
    size, batch = content["image_size"], content["batch_size"] // content["devices"]
    flops, moved = content["flops_per_second"] / 1e9, content["bytes_per_second"] / 1e9
    step, traced = content["step_seconds"], content["traced_step_seconds"]
    rows = {kind: row for kind, row in content["kinds"].items() if row["programs"]}
    rest = traced - sum(row["seconds"] for row in rows.values())
    lines = [
        f"{content['measure']} of {content['network']}, {size} px, {batch} images a device",
        f"peaks of a device: {flops:.0f} GFLOP/s of products, {moved:.1f} GB/s of memory",
        f"a step: {1e3 * step:.0f} ms, {1e3 * traced:.0f} traced",
        "",
        _HEAD,
        *(_line(kind, row, traced) for kind, row in rows.items()),
        f"{'waiting':14}{'':9}{1e3 * rest:9.1f}{rest / traced:7.0%}",
        "",
        "the costliest programs:",
    ]
    for row in content["costliest"]:
        lines.append(f"{1e3 * row['seconds']:8.1f} ms  {row['program'][:66]}")
    return "\n".join(lines)


def _line(kind: str, row: dict[str, Any], step: float) -> str:
    return (
        f"{kind:14}{row['programs']:9.0f}{1e3 * row['seconds']:9.1f}{row['seconds'] / step:7.0%}"
        f"{row['flops'] / 1e9:9.2f}{row['moved'] / 1e9:8.2f}{1e3 * row['bound']:11.1f}"
        f"{row['bound'] / row['seconds']:6.0%}"
    )

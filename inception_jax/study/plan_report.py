"""A plan as tables of 80 columns, and as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inception_jax.study import power, wording
from inception_jax.study.devices import Device
from inception_jax.study.planning import Plan, QuestionPlan, Work
from inception_jax.study.wording import NONE, count

Pairs = Sequence[tuple[Plan, Device]]
_UNREACHED = f"> {power.MOST_SEEDS // 1000} k"


def show(pairs: Pairs, console: Console | None = None) -> None:
    """Prints the plans, one under the other."""
    console = console or Console()
    target = pairs[0][0].target  # every plan's
    for plan, device in pairs:
        study = plan.study
        console.print(
            f"[bold]{escape(study.title)}[/] · {study.data} · {study.scale} scale · "
            f"{len(study.arms)} arms, {study.seeds} seeds",
            highlight=False,
        )
        console.print(_questions(plan))
        console.print(_budget(plan, device))
        for line in _notes(plan, device):
            console.print(f"[dim]{escape(line)}[/]", highlight=False)
        console.print()
    console.print(
        f"[dim]Seeds for {100 * target.power:g} % power at a two-sided level of "
        f"{100 * target.alpha:g} % by the paired t test; equivalence by two one-sided tests, if "
        "the arms are equal, and so for a margin. Holm: of all the study's questions, whatever "
        "the others say. Cautious: if the sd is at its upper 80 % limit. mde: the smallest effect "
        "(equivalence: margin) that the study as it stands would find. MACs: of convolutions and "
        "dense layers; training is 3 forward passes, evaluation 1.[/]",
        highlight=False,
    )


def _table() -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), expand=True)


def _questions(plan: Plan) -> Table:
    table = _table()
    table.add_column("id", no_wrap=True)
    table.add_column("claim", overflow="fold", ratio=1)
    table.add_column("to find", max_width=12)
    for name in ("sd", "alone", "Holm", "cautious", "mde"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in plan.questions:
        table.add_row(
            escape(row.question.claim),
            escape(row.question.statement),
            row.finds,
            f"{100 * row.noise.sd:.2f}",
            *(_seeds(seeds) for seeds in (row.alone, row.seeds, row.cautious)),
            wording.points(row.detectable),
        )
    return table


def _seeds(seeds: int | None) -> str:
    return _UNREACHED if seeds is None else str(seeds)


def _budget(plan: Plan, device: Device) -> Table:
    table = _table()
    table.add_column("cost", no_wrap=True, ratio=1)
    for name in ("seeds", "trials", "images seen", "evaluated", "MACs", "device-hours"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [("as it stands", plan.study.seeds), ("for the power", plan.seeds)]
    for name, seeds in rows:
        if seeds is None:
            table.add_row(name, _UNREACHED, *[NONE] * 5)
            continue
        table.add_row(name, str(seeds), *_spent(_cost(plan, device, seeds)))
    if plan.search and plan.study.search:
        seeds = str(plan.study.search.seeds)
        table.add_row("search, before", seeds, *_spent(_cost_of(plan.search, device)))
    return table


def _spent(cost: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{cost['trials']:,}",
        count(cost["images_trained"]),
        count(cost["images_evaluated"]),
        f"{cost['macs']:.2e}",
        _hours(cost["device_hours"]),
    )


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}" if hours < 1 else f"{hours:.1f}"


def _cost(plan: Plan, device: Device, seeds: int) -> dict[str, Any]:
    """Of so many seeds, without the search."""
    work = Work(*(seeds * number for number in dataclasses.astuple(plan.work)))
    return {"seeds": seeds, **_cost_of(work, device)}


def _cost_of(work: Work, device: Device) -> dict[str, Any]:
    return {
        "trials": work.trials,
        "images_trained": work.trained,
        "images_evaluated": work.evaluated,
        "macs": work.macs,
        "device_hours": device.hours(2.0 * work.macs),
    }


def _notes(plan: Plan, device: Device) -> list[str]:
    earlier = plan.earlier
    kinds = {row.noise.kind for row in plan.questions}
    noise = f"sd of paired differences: from {earlier.source}"
    if kinds == {"assumed"}:
        noise = "sd of paired differences: assumed, as there are no earlier results (--results DIR)"
    elif "pooled" in kinds:
        noise += ", pooled over its questions where one has none of its own"
    lines = [
        noise + ".",
        f"Device: {device.label}, {device.peak / 1e12:.3g} TFLOP/s x {100 * device.share:.0f} % "
        f"({device.source}).",
    ]
    if earlier.seconds is not None:
        hours = earlier.seconds * plan.study.seeds * plan.work.trials / 3600
        lines.append(
            f"Earlier trials took {earlier.seconds:.0f} s each, start-up included "
            f"({earlier.machine}): {_hours(hours)} h for the study as it stands, one after another."
        )
    if plan.seeds is not None and plan.seeds > plan.study.seeds:
        scale = "" if plan.study.scale == "default" else f" --scale {plan.study.scale}"
        again = f"inception-jax study {plan.study.name}{scale} --seeds {plan.seeds}"
        lines.append(f"To run it so: {again}")
    lines += [f"Not counted: {arm}: {reason}" for arm, reason in plan.uncounted.items()]
    return lines


def as_data(pairs: Pairs) -> list[dict[str, Any]]:
    """The plans as JSON-able data; effects, margins and sds in percentage points."""
    return [_plan(plan, device) for plan, device in pairs]


def _plan(plan: Plan, device: Device) -> dict[str, Any]:
    study, target, earlier = plan.study, plan.target, plan.earlier
    return {
        "study": study.name,
        "scale": study.scale,
        "data": study.data,
        "effect": 100 * target.effect,
        "power": target.power,
        "alpha": target.alpha,
        "noise": {"source": earlier.source, "trial_seconds": earlier.seconds},
        "questions": [_row(row) for row in plan.questions],
        "device": {
            "name": device.name,
            "peak_flops": device.peak,
            "share": device.share,
            "source": device.source,
        },
        "as_it_stands": _cost(plan, device, study.seeds),
        "needed": None if plan.seeds is None else _cost(plan, device, plan.seeds),
        "search": None if plan.search is None else _cost_of(plan.search, device),
        "not_counted": plan.uncounted,
    }


def _row(row: QuestionPlan) -> dict[str, Any]:
    question = row.question
    return {
        "claim": question.claim,
        "treatment": question.treatment,
        "baseline": question.baseline,
        "direction": question.direction,
        "margin": None if question.margin is None else 100 * question.margin,
        "to_find": row.finds,
        "sd": 100 * row.noise.sd,
        "sd_high": 100 * row.noise.high,
        "sd_kind": row.noise.kind,
        "seeds_alone": row.alone,
        "seeds": row.seeds,
        "seeds_cautious": row.cautious,
        "smallest_detectable": 100 * row.detectable,
    }

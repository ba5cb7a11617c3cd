"""Costs as rows of plain values, and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inception_jax.cost.count import Cost, LayerCost
    from inception_jax.cost.measure import StepTimes

HEADINGS = {
    "name": "network",
    "image_size": "px",
    "params": "parameters",
    "macs": "MACs",
    "depth": "depth",
    "receptive_field": "field px",
}
MEASURED = {  # beside the others where they were asked for
    "evaluate_ms": "eval ms",
    "train_ms": "train ms",
}
LAYER_HEADINGS = {
    "network": "network",
    "layer": "layer",
    "output": "output",
    "params": "parameters",
    "macs": "MACs",
}


def row(name: str, image_size: int, cost: Cost, times: StepTimes | None = None) -> dict[str, Any]:
    """One network as a row, with the milliseconds of a step where they were measured."""
    counted = {
        "name": name,
        "image_size": image_size,
        "params": cost.params,
        "macs": cost.macs,
        "flops": cost.flops,
        "depth": cost.depth,
        "receptive_field": cost.receptive_field,
    }
    if times is None:
        return counted
    return {
        **counted,
        "batch_size": times.batch_size,
        "evaluate_ms": round(1000 * times.evaluate, 2),
        "train_ms": round(1000 * times.train, 2),
    }


def layer_rows(network: str, parts: Iterable[LayerCost]) -> list[dict[str, Any]]:
    """The layers or blocks of one network as rows, its total last."""
    parts = list(parts)
    rows = [
        {
            "network": network,
            "layer": part.name,
            "output": list(part.output),
            "params": part.params,
            "macs": part.macs,
        }
        for part in parts
    ]
    total = {
        "network": network,
        "layer": "total",
        "output": [],
        "params": sum(part.params for part in parts),
        "macs": sum(part.macs for part in parts),
    }
    return [*rows, total]


def latex(rows: list[dict[str, Any]], headings: dict[str, str]) -> str:
    """The rows as a LaTeX table for `booktabs`."""

    def cell(value: Any) -> str:
        if isinstance(value, int):
            return f"{value:,}".replace(",", "\\,")
        if isinstance(value, list):
            return "$\\times$".join(map(str, value))
        return str(value).replace("_", "\\_")

    lines = [" & ".join(cell(r.get(key, "")) for key in headings) + " \\\\" for r in rows]
    columns = "".join("r" if isinstance(rows[0].get(key), int | float) else "l" for key in headings)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            " & ".join(headings.values()) + " \\\\",
            "\\midrule",
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )

"""docs/paper_vs_code.md from `points` and the importer's rules.

python -m inception_jax.weights.page > docs/paper_vs_code.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from inception_jax.models.options import Options
from inception_jax.weights import points, rules
from inception_jax.weights.points import CODES, Point

_HEAD = ("point", "paper", "TF-slim", "torchvision", "timm", "Keras", "ours", "why")
_INTRO = """# The paper and the code

What the paper prints, what the public code bases run, and what is the default here. All four code
bases have the same Inception-v3, and it is not quite the paper's; and where they have the same
graph they still compute differently. `inception-jax weights import` brings the rules of a column
along with its weights.

This page is generated: `python -m inception_jax.weights.page > docs/paper_vs_code.md`.
"""
_AFTER = """
## Slips in the paper

- Section 6 is off by one in its figures: Table 1's 5, 6 and 7 are right.
- Table 1 does not mark the last 3×3 of the stem as padded, but its grid of 35 needs it.
- "Factorized 7×7" in Table 3 is the first convolution of the stem, not the 1×7 and 7×1 modules.
- 4.8 Bn operations: the released graph has 5.713 GMAC, Table 1's own 5.865 (`docs/cost.md`).
- 42 layers: the longest path of the released graph has 48 convolutions and dense layers; 42 is the
  sum without the two grid reductions.
- Pooling first cuts the cost of a reduction *to* a quarter, not by one.
- The gain of label smoothing is 0.2 in the text and 0.3 in Table 3; the ensemble's top-1 error is
  17.3 in the abstract and 17.2 in Table 5.
- All errors are on 48,238 validation images without a "blacklist"; on all 50,000 they are 0.2 to
  0.3 higher.
"""


def text() -> str:
    """The page, as Markdown."""
    parts = [
        _INTRO,
        "## Inception-v3: the graph\n",
        _table(_HEAD, map(_row, points.GRAPH)),
        "\n## Inception-v3: its layers\n",
        _table(_HEAD, map(_row, points.LAYERS)),
        "\n## Inception-v3: around the network\n",
        _table(_HEAD[:-2], _around()),
        "\nEvery network here takes RGB in [-1, 1]; `weights.adapt_images` maps to the others.\n",
        "\n## Training it (`configs/imagenet.py`)\n",
        _table(_HEAD, map(_row, points.TRAINING)),
        "\n## Which network is which\n",
        _table(("network", "elsewhere", "what to know"), points.NETWORKS),
        _AFTER,
    ]
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _row(point: Point) -> list[str]:
    if not point.option:
        return [
            point.title, point.paper, *(point.codes[c] for c in CODES), point.ours, point.reason,
        ]  # fmt: skip
    codes = [_value(_rules(code).options[point.option]) for code in CODES]
    ours = _value(getattr(Options(), point.option))
    return [point.title, point.paper, *codes, ours, point.reason]


def _rules(code: str) -> rules.Rules:
    return rules.find(code, "inception_v3")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}"


def _around() -> Iterable[list[str]]:
    found = [_rules(code) for code in CODES]
    gluon = rules.find("timm.gluon_in1k")
    inputs = [str(r.input) for r in found]
    inputs[CODES.index("timm")] += f"; `gluon_in1k`: {gluon.input}"
    yield ["input", "not said", *inputs]
    yield ["evaluation: resizing", "not said", *(r.resize for r in found)]
    yield ["evaluation: interpolation", "not said", *(r.interpolation for r in found)]
    yield ["evaluation: central crop", "not said", *(f"{r.crop:g}" for r in found)]
    backgrounds = ("1001, the first background" if r.background else "1000" for r in found)
    classes = dict(zip(CODES, backgrounds, strict=True))
    classes["timm"] = "1000 (1001 in files of older versions)"
    yield ["classes", "1000", *classes.values()]
    yield ["top-1, one crop, %", *(points.PUBLISHED[c] for c in ("paper", *CODES))]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

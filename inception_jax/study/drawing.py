"""Draws with matplotlib and turns the result into SVG text that takes its ink from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

# Distinguishable with colour-blindness, on white and on dark grey (Okabe and Ito, two darkened).
COLOURS = ("#0b84c6", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#7f6fd4", "#56b4e9", "#808080")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
VERDICT_COLOURS = {"supported": "#009e73", "contradicted": "#d55e00", "inconclusive": "#b8860b"}
INK = "#010203"  # a colour that nothing else uses; becomes the page's own
_GREY_INK = "#7a7a7a"  # readable on white and on black, for files that stand alone


def colour(index: int) -> str:
    """Of the arm with this index."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Of the arm with this index: with its colour it is unique among 64."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def draw(maker: Callable[[Any], bool], height: float, name: str) -> str:
    """SVG text with `currentColor` as its ink, to be put into a page; "" where there is nothing.

    Args:
        maker: draws on the axes it is given and tells whether there was anything to draw.
        height: in inches, of a picture that is 5.2 inches wide.
        name: of the picture, unique on its page.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: Any = {
        **dict.fromkeys(ink, INK),
        "svg.fonttype": "none",
        "text.parse_math": False,  # a label is text, also with a dollar sign
        "svg.hashsalt": "inception_jax",
        "font.family": "sans-serif",
        "font.size": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": INK,
        "grid.alpha": 0.15,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        if not maker(figure.add_subplot()):
            return ""
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), name)


def standalone(svg: str) -> str:
    """The same picture as a file, with an ink that is readable on white and on black."""
    return svg.replace("currentColor", _GREY_INK)


def _inline(svg: str, name: str) -> str:
    """Makes a matplotlib file a part of a page: no prologue, ids of its own, ink of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'(<svg[^>]*?) height="[^"]*"',
        rf'\1 class="plot" role="img" data-plot="{name}"',
        svg,
        count=1,
    )
    return svg.replace(INK, "currentColor")


def legend(axes: Any, columns: int = 2) -> None:
    """A legend below the axes."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns if len(labels) > 1 else 1,
        fontsize=9,
    )


def legend_height(entries: int, columns: int = 2) -> float:
    """What a legend adds to a picture's height, in inches."""
    return 0.19 * -(-entries // columns)

"""Do expanded filter banks on the coarsest grid gain accuracy at equal cost?

The paper (section 6, Figure 7): on the 8x8 grid the outputs of the 3x3 filters fork into 1x3 beside
3x1, to "promote high dimensional representations" (its second principle), "only on the coarsest
grid" since there such representations matter most. It prints no accuracy.

The arms differ in the modules of the third grid: forked banks, or plain 3x3 with as many filters as
cost the same (two thirds of one branch of the fork, a third of its outputs). Metric: accuracy
after the last step; the table has the multiply-adds of both.

Fair, because the third grid has 7 px (mnist5k) or 8 px (photos), as the paper's 8: the stem does
not pool. Not fair in that there is one module where the paper has two, and that with ten classes a
high-dimensional representation has less to tell apart.

Seeds: 16; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {"data.image_size": 28, "train.epochs": 2.0},
        "photos": {"data.image_size": 32, "train.epochs": 4.0},
        "digits": {"data.image_size": 8, "train.epochs": 10.0},
    },
    shared={"model.stem_pool": False, "model.width": 0.375},
    seeds=16,
)

_ARMS = (
    Arm("expanded", "1×3 beside 3×1 (Figure 7)", {"model.expanded": True}),
    Arm("plain", "3×3 at equal cost", {"model.expanded": False}),
)

_QUESTIONS = (
    Question(
        "A14",
        "At equal cost, expanded banks on the coarsest grid gain accuracy.",
        treatment="expanded",
        baseline="plain",
        paper="a principle, no figure",
        source="section 6, Figure 7",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="expanded",
        title="Expanded filter banks",
        question="Do expanded filter banks on the coarsest grid gain accuracy at equal cost?",
        arms=_ARMS,
        questions=_QUESTIONS,
        fairness="the third grid is 7 to 8 px wide, as in the paper; but it has one module, and "
        "few classes ask less of a high-dimensional representation."
        if small
        else "",
        differs="the paper has no arm without expansion; the plain one has as many filters as cost "
        "the same" + ("; a small network, few epochs." if small else "."),
        **_SCALES.place("expanded", scale, data),
    )

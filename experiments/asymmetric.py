"""Where does 1 x n followed by n x 1 work, which n, and is it better than 2 x 2 convolutions?

The paper (section 3.2, Figure 6): an n x n convolution as 1 x n and n x 1 "does not work well on
early layers, but it gives very good results on medium grid sizes", m x m maps with m between 12
and 20, where it takes n = 7. In place of a 3x3, 3x1 + 1x3 saves 33 % where 2x2 + 2x2 saves 11 %,
and so does "even better". It prints no accuracy for any of these.

The arms change one thing in one network: at the second grid, 7x7 as it is, as 1x7 + 7x1 (the
network's own) or as a chain of three 3x3; n of the asymmetric pair; for n = 3, the 3x3 itself and
2x2 + 2x2 in the pair's place; and the same swap at the first grid (its 3x3 and 5x5) or in the stem
(its 3x3). Metric: accuracy after the last step. Rules: A3 and A6 are of non-inferiority with half a
point of margin, since the pair costs 29 % of the 7x7, and 75 % of the 2x2 + 2x2; A4 and A5 ask for
a difference.

Fair, because the second grid has 14 px (mnist5k) or 16 px (photos), inside the paper's 12 to 20:
the stem does not pool, so grids are 28, 14, 7 or 32, 16, 8 as 35, 17, 8 in the paper. Not fair in
that there is one module a grid, where the paper has three, four and two, so that an early swap
concerns few layers, and that training is short.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from typing import Any

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {"data.image_size": 28, "train.epochs": 2.0},
        "photos": {"data.image_size": 32, "train.epochs": 4.0},
        "digits": {"data.image_size": 8, "train.epochs": 10.0},
    },
    shared={"model.stem_pool": False, "model.grid17_kernel": 0, "model.width": 0.375},
)

_MARGIN = 0.005  # half a point


def _factorized(site: str, strategy: str) -> dict[str, Any]:
    return {f"model.factorization.{site}.strategy": strategy}


_ARMS = (
    Arm("asymmetric_7", "1×7 + 7×1 at the 17 grid"),
    Arm("square_7", "7×7 at the 17 grid", _factorized("grid17", "direct")),
    Arm("chain_7", "three 3×3 at the 17 grid", _factorized("grid17", "stacked_3x3")),
    Arm("asymmetric_5", "1×5 + 5×1 at the 17 grid", {"model.grid17_kernel": 5}),
    Arm("asymmetric_3", "1×3 + 3×1 at the 17 grid", {"model.grid17_kernel": 3}),
    Arm(
        "square_3",
        "3×3 at the 17 grid",
        {"model.grid17_kernel": 3, **_factorized("grid17", "direct")},
    ),
    Arm(
        "two_2x2",
        "2×2 + 2×2 at the 17 grid",
        {"model.grid17_kernel": 3, **_factorized("grid17", "stacked_2x2")},
    ),
    Arm("early", "1×n + n×1 at the 35 grid, too", _factorized("grid35", "asymmetric")),
    Arm("stem", "1×3 + 3×1 in the stem, too", _factorized("stem", "asymmetric")),
)

_QUESTIONS = (
    Question(
        "A3",
        "At a grid of 12 to 20, 1×7 + 7×1 loses nothing against 7×7.",
        treatment="asymmetric_7",
        baseline="square_7",
        margin=_MARGIN,
        paper="“very good results”, no figure",
        source="section 3.2",
    ),
    Question(
        "A3",
        "At a grid of 12 to 20, 1×7 + 7×1 loses nothing against three 3×3.",
        treatment="asymmetric_7",
        baseline="chain_7",
        margin=_MARGIN,
        paper="no figure",
        source="section 3.2",
    ),
    Question(
        "A4",
        "At the first grid, 1×n + n×1 in place of n×n loses accuracy.",
        treatment="early",
        baseline="asymmetric_7",
        direction="less",
        paper="“does not work well”, no figure",
        source="section 3.2",
    ),
    Question(
        "A4",
        "In the stem, 1×3 + 3×1 in place of 3×3 loses accuracy.",
        treatment="stem",
        baseline="asymmetric_7",
        direction="less",
        paper="“does not work well”, no figure",
        source="section 3.2",
    ),
    Question(
        "A5",
        "At the 17 grid n = 7 scores more than n = 5.",
        treatment="asymmetric_7",
        baseline="asymmetric_5",
        paper="n = 7 is its choice, no figure",
        source="Figure 6",
    ),
    Question(
        "A5",
        "At the 17 grid n = 7 scores more than n = 3.",
        treatment="asymmetric_7",
        baseline="asymmetric_3",
        paper="n = 7 is its choice, no figure",
        source="Figure 6",
    ),
    Question(
        "A6",
        "In place of a 3×3, 1×3 + 3×1 loses nothing against 2×2 + 2×2, and costs less.",
        treatment="asymmetric_3",
        baseline="two_2x2",
        margin=_MARGIN,
        paper="“even better”, no figure",
        source="section 3.2",
    ),
    Question(
        "A6",
        "1×3 + 3×1 loses nothing against the 3×3 that it replaces.",
        treatment="asymmetric_3",
        baseline="square_3",
        margin=_MARGIN,
        paper="no figure",
        source="section 3.2",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="asymmetric",
        title="1×n and n×1",
        question="At which grids does 1×n followed by n×1 replace n×n, and with which n?",
        arms=_ARMS,
        questions=_QUESTIONS,
        fairness="the second grid is 14 to 16 px wide, inside the paper's 12 to 20, and grids have "
        "the paper's order, as the stem does not pool; but there is one module a grid, so an early "
        "swap concerns few layers, and training is short."
        if small
        else "",
        differs="the paper gives no figure for any of these arms; early layers are the first grid "
        "and the stem here" + ("; a small network, few epochs." if small else "."),
        **_SCALES.place("asymmetric", scale, data),
    )

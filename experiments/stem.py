"""Does a chain of 3x3 convolutions in place of the stem's 7x7 gain accuracy?

The paper (Table 3, row "Factorized 7x7"): replacing the first 7x7 convolution by a chain of 3x3
takes top-1 error from 22.8 to 21.6 %, and the cost from 3.8 to 4.8 Bn (K7 counts it).

The arms differ in the stem alone: one 7x7 at stride 2, or 3x3 at stride 2 and two more 3x3 with
filters in the paper's proportion (1, 1, 2), both before the same pooling; beside them the 7x7 as
1x7 + 7x1, which section 3.2 says does not work there. Metric: accuracy after the last step.

Fair, because both stems end in the same grid and number of filters, and the images are photographs,
whose fine texture a first layer has to resolve. Not fair in that the network behind the stem is
small, so that the chain is a larger part of its depth than in the paper.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "photos": {
            "data.image_size": 56,
            "data.options.patch_size": 56,
            "data.options.validation_per_class": 8,
            "model.stem_stride": 2,
            "train.epochs": 4.0,
            "train.eval_every_epochs": 2.0,
        },
        "mnist5k": {"data.image_size": 28, "train.epochs": 2.0},
        "digits": {"data.image_size": 8, "train.epochs": 10.0},
    },
    paper_base="table3.py:inception_v2_label_smoothing",
)

_QUESTIONS = (
    Question(
        "A11",
        "A chain of 3×3 in place of the stem's 7×7 gains accuracy.",
        treatment="chain",
        baseline="square",
        paper="22.8 to 21.6 % error: +1.2",
        source="Table 3",
    ),
)


def _arms(small: bool) -> tuple[Arm, ...]:
    square, chain = {"model.stem": "conv7x7"}, {"model.stem": "chain3x3" if small else "table1"}
    return (
        Arm("square", "7×7", square),
        Arm("chain", "three 3×3", chain),
        Arm("asymmetric", "1×7 + 7×1", square | {"model.factorization.stem.strategy": "asymmetric",
                                             "model.factorization.stem.min_kernel": 7}),
    )  # fmt: skip


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="stem",
        title="The stem's 7×7",
        question="Does a chain of 3×3 convolutions in place of the stem's 7×7 gain accuracy?",
        arms=_arms(small),
        questions=_QUESTIONS,
        fairness="both stems end in the same grid and filters, and photographs have fine texture "
        "for a first layer to resolve; but behind a small network the chain is a larger part of "
        "the depth."
        if small
        else "",
        differs="the arm 1×7 + 7×1 is ours" + ("; a small network, few epochs." if small else "."),
        **_SCALES.place("stem", scale, data),
    )

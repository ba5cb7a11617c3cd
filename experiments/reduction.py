"""Does the parallel grid reduction avoid the bottleneck, and at what cost?

The paper (section 5, Figures 9 and 10): pooling before an Inception module creates a
representational bottleneck; an Inception module before pooling does not, but costs three times as
much; convolutions of stride 2 beside a pooling of stride 2 are cheap and free of it. It prints no
accuracy.

The arms rewrite both reductions of one network, with equal outputs: convolutions at stride 1 with a
1x1 where the parallel form pools, after a pooling or before one. Metric: accuracy after the last
step. Rules: the parallel form beats pooling first; against convolving first it is one of
non-inferiority with half a point of margin, since it is cheaper. The table has the multiply-adds
beside the accuracies; K6 counts them for the paper's own grids.

Fair, because the three forms are the paper's and nothing else changes. Not fair in that the grids
are small (14, 7, 4 px): a bottleneck throws away less where there is less to see. The paper's form
of Figure 9 doubles the filters in an Inception module of its own; here, as in the released network,
the module that reduces has the reduction's branches.

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
    seeds=16,
)

_ARMS = (
    Arm("parallel", "in parallel (Figure 10)", {"model.grid_reduction": "parallel"}),
    Arm(
        "pool_conv",
        "pooling, then Inception (Figure 9, left)",
        {"model.grid_reduction": "pool_conv"},
    ),
    Arm(
        "conv_pool",
        "Inception, then pooling (Figure 9, right)",
        {"model.grid_reduction": "conv_pool"},
    ),
)

_QUESTIONS = (
    Question(
        "A10",
        "The parallel reduction beats pooling before the convolutions: no bottleneck.",
        treatment="parallel",
        baseline="pool_conv",
        paper="a principle, no figure",
        source="section 5, Figure 9",
    ),
    Question(
        "A10",
        "The parallel reduction loses nothing against the dearer convolutions before pooling.",
        treatment="parallel",
        baseline="conv_pool",
        margin=0.005,
        paper="cheap and without the bottleneck, no figure",
        source="section 5, Figure 10",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="reduction",
        title="Reducing the grid",
        question="Does the parallel grid reduction avoid the bottleneck, and at what cost?",
        arms=_ARMS,
        questions=_QUESTIONS,
        fairness="the three forms are the paper's, with equal outputs, and nothing else changes; "
        "but on small grids a bottleneck has less to throw away."
        if small
        else "",
        differs="the module that reduces has the released reduction's branches, not those of an "
        "Inception module with twice the filters"
        + ("; a small network, few epochs." if small else "."),
        **_SCALES.place("reduction", scale, data),
    )

"""What do auxiliary heads do: speed the start, or regularise the end?

The paper (section 4, Figure 8): heads "did not result in improved convergence early in the
training", nets with one overtake near its end; removing the lower of GoogLeNet's two heads harms
nothing; the main classifier is better where the side head has batch norm (+0.4 points, Figure 8) or
dropout, so heads regularise. Figure 8 draws curves and prints no other figure.

The arms differ in their heads alone, on a network with the released graph's depth: none; one on the
last module of the second grid (the paper's place), with batch norm, without, or with dropout
instead; one on the first module of that grid, as GoogLeNet's lower one; both. Metrics, fixed before
the first run: for the start the mean test accuracy over the evaluations in the first third of the
steps, for the end the accuracy after the last. Rules: equivalence within two points at the start,
where accuracy climbs from chance; a difference at the end; equivalence within half a point for
GoogLeNet's lower head.

Fair, because depth and places are those of the released graph (48 convolutions and dense layers),
the head is Figure 8's, and evaluations are dense enough for a curve. Not fair in that it trains for
some hundreds of steps, where the paper's curves have millions: "late" is early there. The rate
falls to zero at the end, so that every arm ends converged for its length.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from typing import Any

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {"data.image_size": 28, "train.epochs": 6.0},
        "photos": {
            "data.image_size": 32,
            "data.options.validation_per_class": 8,
            "data.options.test_per_class": 64,
            "train.epochs": 4.0,
        },
        "digits": {"data.image_size": 8, "train.epochs": 10.0},
    },
    shared={
        "model.body": "deep",
        "model.grid17_kernel": 7,
        "model.width": 0.375,
        "train.eval_every_epochs": 0.5,
    },
    smoke={"train.eval_every_epochs": 0.25},
)

_LOWER, _UPPER = "Mixed_6b", "Mixed_6e"
_EARLY = "early(test_top1, 0.33)"
_START = 0.02  # two points of mean accuracy while it climbs from chance
_END = 0.005  # half a point


def _heads(*sites: str, **head: Any) -> dict[str, Any]:
    return {"model.aux.sites": list(sites), **{f"model.aux.{key}": v for key, v in head.items()}}


_ARMS = (
    Arm("none", "no head", _heads()),
    Arm("upper", "upper head, batch norm", _heads(_UPPER)),
    Arm("plain", "upper head, plain", _heads(_UPPER, batch_norm=False)),
    Arm("dropout", "upper head, dropout", _heads(_UPPER, batch_norm=False, dropout=0.7)),
    Arm("lower", "lower head, batch norm", _heads(_LOWER)),
    Arm("both", "both heads, batch norm", _heads(_LOWER, _UPPER)),
)

_QUESTIONS = (
    Question(
        "A7",
        "In the first third of training, a head changes nothing.",
        treatment="upper",
        baseline="none",
        direction="equivalent",
        margin=_START,
        metric=_EARLY,
        paper="curves “virtually identical”",
        source="section 4, Figure 8",
    ),
    Question(
        "A7",
        "At the end of training, the network with a head scores more.",
        treatment="upper",
        baseline="none",
        paper="“slightly higher plateau”, no figure",
        source="section 4, Figure 8",
    ),
    Question(
        "A8",
        "Removing the lower of two heads is harmless.",
        treatment="upper",
        baseline="both",
        direction="equivalent",
        margin=_END,
        paper="no “adverse effect”, no figure",
        source="section 4",
    ),
    Question(
        "A8",
        "A lower head alone does not help low-level features.",
        treatment="lower",
        baseline="none",
        direction="equivalent",
        margin=_END,
        paper="the hypothesis is “most likely misplaced”",
        source="section 4",
    ),
    Question(
        "A9",
        "The network scores more where its head has batch norm.",
        treatment="upper",
        baseline="plain",
        paper="+0.4",
        source="Figure 8",
    ),
    Question(
        "A9",
        "The network scores more where its head has dropout.",
        treatment="dropout",
        baseline="plain",
        paper="no figure",
        source="section 4",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="auxiliary",
        title="Auxiliary heads",
        question="Do auxiliary heads speed the start of training, or regularise its end?",
        arms=_ARMS,
        questions=_QUESTIONS,
        fairness="depth, places and heads are the released graph's, at a narrow width; but "
        "training takes some hundreds of steps, where the paper's curves have millions, so that "
        "its “late” is not reached."
        if small
        else "",
        differs="the lower head is on the first module of the second grid of this graph, as on "
        "GoogLeNet's 4a; the paper gives no dropout rate (0.7 here, GoogLeNet's)"
        + ("; a small network, few epochs." if small else "."),
        **_SCALES.place("auxiliary", scale, data),
    )

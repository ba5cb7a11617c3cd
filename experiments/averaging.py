"""Does the running average of the parameters evaluate better than their last values?

The paper (section 8): "model evaluations are performed using a running average of the parameters
computed over time". It gives neither a figure nor the decay; its authors' code has 0.9999 with
TensorFlow's warm-up, over parameters and batch statistics.

The arms are one network, trained once a seed: its last parameters, and their average over the run.
Metric: top-1 accuracy after the last step. Rule: the average beats the last values.

Fair, because what an average gains depends on how far the last steps still wander, and so the
schedule is the paper's in proportion: the rate falls by 0.94 some fifty times over the run, to 5 %
of where it started, and the average's time constant is an eighth of the run (48 of 384 steps here,
10,000 of 80,000 there); and because both arms come from the same training. Not fair in that steps
are few, so that an eighth of the run reaches back to a network that was clearly worse, and in that
a batch of 64 has noisier gradients than the paper's of 1,600, which gives an average more to do.

Seeds: 16; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_EPOCHS = 6.0

_SCALES = Scales(
    small={
        "photos": {"data.image_size": 32, "data.options.validation_per_class": 8},
        "mnist5k": {"data.image_size": 28},
        "digits": {"data.image_size": 8},
    },
    shared={
        "model.width": 0.375,
        "optim.schedule": "exponential",
        "optim.decay_rate": 0.94,
        "optim.decay_epochs": _EPOCHS / 50,
        "optim.ema_decay": 0.98,  # 1 - 1 / 48
        "train.epochs": _EPOCHS,
        "train.eval_every_epochs": 2.0,
    },
    paper_base="table3.py:inception_v3",
    seeds=16,
)

_ARMS = (
    Arm("raw", "last parameters"),
    Arm("averaged", "running average", {"eval.weights": "ema"}, members=("raw",)),
)

_QUESTIONS = (
    Question(
        "A21",
        "The running average of the parameters scores more than their last values.",
        treatment="averaged",
        baseline="raw",
        paper="used for all evaluations, no figure",
        source="section 8",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="averaging",
        title="Averaged parameters",
        question="Does the running average of the parameters evaluate better than the last ones?",
        arms=_ARMS,
        questions=_QUESTIONS,
        fairness="the rate falls by the paper's factor and the average spans the paper's share of "
        "the run; but with few steps it reaches back to a clearly worse network, and a small "
        "batch's noise gives it more to do."
        if small
        else "",
        differs="the paper gives no decay; "
        + (
            "0.98 here, for a run of 384 steps; a small network, few epochs."
            if small
            else "0.9999 is its authors' code's."
        ),
        **_SCALES.place("averaging", scale, data),
    )

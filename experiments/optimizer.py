"""Does RMSProp train the network better than SGD with momentum?

The paper (section 8, Table 3): early experiments used momentum 0.9, the best models RMSProp with
decay 0.9 and epsilon 1.0; the row "Inception-v2 RMSProp" has 23.1 % top-1 error, the row above it
23.4 %. It does not say how the learning rate of either was found.

The arms differ in the optimizer, and each has its own learning rate, found first: five rates, two
seeds each, the best mean accuracy on a validation split; only then are the test trials run. All
else is shared: momentum 0.9, weight decay, clipping at 2.0, cosine with warm-up. Metric: accuracy
after the last step.

Fair, because both have the same budget for tuning and the report says what each rate scored; the
search's seeds are among the study's, alike for both. Not fair in that training is short: an
optimizer that starts faster gains. With epsilon 1.0 inside the root RMSProp is close to SGD unless
gradients are large, in the paper as here.

Seeds: 16; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Search, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {
            "data.image_size": 28,
            "data.validation_fraction": 0.1,
            "train.epochs": 2.0,
        },
        "photos": {"data.image_size": 32, "train.epochs": 4.0},
        "digits": {"data.image_size": 8, "data.validation_fraction": 0.1, "train.epochs": 10.0},
    },
    shared={
        "optim.weight_decay": 4e-5,
        "optim.clip_norm": 2.0,
        "optim.momentum": 0.9,
        "optim.rms_decay": 0.9,
        "optim.epsilon": 1.0,
        "train.eval_every_epochs": 2.0,
    },
    paper={"data.validation_fraction": 0.02},
    paper_base="table3.py:inception_v2",
    seeds=16,
)

_RATES = {
    "smoke": (0.03, 0.1),
    "default": (0.01, 0.03, 0.1, 0.3, 1.0),
    "paper": (0.0225, 0.045, 0.09),
}

_ARMS = (
    Arm("rmsprop", "RMSProp", {"optim.name": "rmsprop"}),
    Arm("sgd", "SGD with momentum", {"optim.name": "sgd"}),
)

_QUESTIONS = (
    Question(
        "A13",
        "RMSProp scores more than SGD with momentum, each at its best learning rate.",
        treatment="rmsprop",
        baseline="sgd",
        paper="23.4 to 23.1 % error: +0.3",
        source="Table 3",
    ),
)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="optimizer",
        title="RMSProp against SGD",
        question="Does RMSProp train the network better than SGD with momentum?",
        arms=_ARMS,
        questions=_QUESTIONS,
        search=Search("optim.learning_rate", _RATES[scale], seeds=2 if small else 1),
        fairness="both optimizers have the same budget for their learning rate, found on a "
        "validation split; but training is short, and an optimizer that starts faster gains."
        if small
        else "",
        differs="the paper does not say how it found its rates"
        + ("; a cosine schedule, a small network, few epochs." if small else "."),
        **_SCALES.place("optimizer", scale, data),
    )

"""Does clipping the gradient keep training stable?

The paper (section 8): "gradient clipping with threshold 2.0 was found to be useful to stabilize the
training", after Pascanu et al., who clip the gradient's norm. It prints no count.

The arms are three learning rates, each with clipping of the global norm at 2.0 and without. Metric,
fixed before the first run: whether a run diverged, that is, stopped because loss or gradient was
not finite, or ended with a training loss of 99 % of a guess's (ln of the number of classes) or
more. Test: McNemar's, exact, over the seeds, at each rate.

Fair, because it counts what the paper tells of, and the rates span from one that trains to one that
is too high; a rate at which neither arm diverges, or both always do, says nothing and is reported
as inconclusive. Not fair in that the network is GoogLeNet without batch norm (at an eighth of its
width), since batch norm alone makes a network bear far higher rates, and in that the paper's
gradients came from 50 replicas.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {"data.image_size": 28, "train.epochs": 2.0},
        "photos": {"data.image_size": 32, "train.epochs": 2.0},
        "digits": {"data.image_size": 8, "train.epochs": 5.0},
    },
    shared={
        "model.name": "googlenet",
        "model.stem_stride": 1,
        "model.width": 0.125,
        "optim.name": "sgd",
        "optim.schedule": "constant",
        "optim.warmup_epochs": 0.0,
        "train.eval_every_epochs": 2.0,
        "train.record_divergence": True,
    },
    smoke={"model.width": 0.125},
    paper={
        "optim.schedule": "constant",
        "train.epochs": 5.0,
        "train.record_divergence": True,
    },
)

_RATES = {"default": (0.03, 0.1, 0.3), "paper": (0.045, 0.45, 4.5)}


def _arms(rates: tuple[float, ...]) -> tuple[Arm, ...]:
    return tuple(
        Arm(
            f"{name}_{index}",
            f"{text}, rate {rate:g}",
            {"optim.clip_norm": norm, "optim.learning_rate": rate},
        )
        for index, rate in enumerate(rates)
        for name, text, norm in (("clipped", "clipped at 2", 2.0), ("free", "not clipped", 0.0))
    )


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    rates = _RATES["default" if small else "paper"]
    questions = (
        Question(
            "A22",
            f"At a rate of {rate:g} fewer runs diverge with clipping.",
            treatment=f"clipped_{index}",
            baseline=f"free_{index}",
            direction="less",
            paper="“useful to stabilize”, no figure",
            source="section 8",
        )
        for index, rate in enumerate(rates)
    )
    return Study(
        name="clipping",
        title="Gradient clipping",
        question="Does clipping the gradient keep training stable?",
        arms=_arms(rates),
        questions=tuple(questions),
        metric="diverged",
        fairness="it counts divergences at rates from what trains to what is too high; but on a "
        "network without batch norm, which alone makes a network bear far higher rates."
        if small
        else "",
        differs="the paper gives no count, and its gradients came from 50 replicas"
        + ("; GoogLeNet at an eighth of its width, SGD, two epochs." if small else "."),
        **_SCALES.place("clipping", scale, data),
    )

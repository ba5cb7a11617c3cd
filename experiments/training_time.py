"""Does a network of lower resolution take longer to train?

The paper (section 9): "although the lower-resolution networks take longer to train, the quality of
the final result is quite close to that of their higher resolution counterparts". It gives no number
of steps.

The arms are those of the resolution study, at constant cost: the same patches of photographs at
full size, half or a quarter. Metric, fixed before the first run: the share of the run after which
test accuracy first reaches 30 %, on a straight line between evaluations a quarter of an epoch
apart; a run that never does counts as if it had at its end. The rate is constant after its warm-up,
so that the length of the run does not shape the curve.

Fair, because cost, grids, patches and order are shared, and a set accuracy is what "longer" is
measured by. Not fair in that one level on a short run stands for "until convergence", and that a
level near an arm's plateau takes it long whatever its speed: 30 % is well below all plateaus.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_LEVEL = {"small": 0.3, "paper": 0.7}

_SIZES = {
    "photos": (64, 32, 16),
    "mnist5k": (28, 14, 7),
    "digits": (8, 4, 2),
    "imagenet2012": (299, 151, 79),
}
_SCALES = Scales(
    small={
        "photos": {
            "data.options.patch_size": 64,
            "data.options.validation_per_class": 1,
            "data.options.test_per_class": 64,
            "train.epochs": 3.0,
        },
        "mnist5k": {"train.epochs": 2.0},
        "digits": {"train.epochs": 5.0},
    },
    shared={"optim.schedule": "constant", "train.eval_every_epochs": 0.25},
    paper={"train.eval_every_epochs": 0.5},
)


def _arms(sizes: tuple[int, int, int]) -> tuple[Arm, ...]:
    names = ("large", "medium", "small")
    kinds = (
        (2, True, "stride 2, pool"),
        (1, True, "stride 1, pool"),
        (1, False, "stride 1, no pool"),
    )
    return tuple(
        Arm(
            name,
            f"{size} px, {text}",
            {"data.image_size": size, "model.stem_stride": stride, "model.stem_pool": pool},
        )
        for name, size, (stride, pool, text) in zip(names, sizes, kinds, strict=True)
    )


def _question(treatment: str, sizes: tuple[int, int, int], level: float) -> Question:
    size = sizes[("large", "medium", "small").index(treatment)]
    return Question(
        "A17",
        f"At constant cost {size} px takes longer than {sizes[0]} px.",
        treatment=treatment,
        baseline="large",
        metric=f"time_to(test_top1, {level:g})",
        paper="“take longer to train”, no figure",
        source="section 9",
    )


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    place = _SCALES.place("training_time", scale, data)
    sizes, level = _SIZES[place["data"]], _LEVEL["small" if small else "paper"]
    return Study(
        name="training_time",
        title="Training time and resolution",
        question="Does a network of lower resolution take longer to train, at constant cost?",
        arms=_arms(sizes),
        questions=tuple(_question(name, sizes, level) for name in ("medium", "small")),
        fairness="cost, grids, patches and order are shared by the arms; but one level on a short "
        "run stands for “until convergence”."
        if small
        else "",
        differs=f"longer is measured by the steps to {level:.0%} accuracy, which the paper does "
        "not give" + ("; a constant rate, a small network, few epochs." if small else "."),
        **place,
    )

"""Does the mean over more crops of an image beat one?

The paper (section 11, Tables 3 and 4): one crop gives Inception-v3 21.2 % top-1 and 5.6 % top-5
error, 12 crops 19.47 and 4.48 %, 144 crops 18.77 and 4.2 %. It defines neither; GoogLeNet's paper
has the 144, and our 12 are its first scale and centre square (docs/evaluation.md).

The arms are one network, trained once a seed, evaluated in three ways: the central 87.5 % of both
sides; 12 crops; 144 crops. Probabilities are averaged. Metric: top-1 accuracy after the last step,
of the same weights in all arms. Rules: 12 beat 1, and 144 beat 12.

Fair, because the images (56 px) are larger than the network's input (32 px), so that every one of
the four scales (37 to 50 px) shrinks them, as on ImageNet; because training draws random boxes of
30 to 100 % of an image, which covers the crops' sizes; and because nothing is trained anew between
the arms. Not fair in that all images are square, so that the left, centre and right squares are one
and 144 crops are 48 views; and in that a texture looks alike all over its patch, where a photograph
has its object in one place.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from inception_jax.study.definition import Arm, Question, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "photos": {
            "data.image_size": 32,
            "data.options.patch_size": 56,
            "data.options.validation_per_class": 8,
            "data.box_area": [0.3, 1.0],
            "train.epochs": 6.0,
        },
        # 8 px images: the network has to take less than it was made for
        "digits": {"data.image_size": 6, "data.box_area": [0.5, 1.0], "train.epochs": 10.0},
    },
    shared={
        "model.width": 0.375,
        "data.augment": "inception",
        "data.colour": "none",
        "data.eval_crop": 0.875,
        "train.eval_every_epochs": 6.0,
    },
    paper_base="table3.py:inception_v3",
)

_QUESTIONS = (
    Question(
        "A19",
        "12 crops score more than one.",
        treatment="crops_12",
        baseline="single",
        paper="21.2 to 19.47 % error: +1.7",
        source="Tables 3 and 4",
    ),
    Question(
        "A19",
        "144 crops score more than 12.",
        treatment="crops_144",
        baseline="crops_12",
        paper="19.47 to 18.77 % error: +0.7",
        source="Table 4",
    ),
)


def _arms(small: bool) -> tuple[Arm, ...]:
    """At the paper's scale all crops are of the averaged parameters, as the paper evaluates."""
    kind = {} if small else {"eval.weights": "ema"}
    trained = "single" if small else "trained"
    first = (
        (Arm("single", "1 crop"),)
        if small
        else (
            Arm(trained, "1 crop, last parameters"),
            Arm("single", "1 crop", kind, members=(trained,)),
        )
    )
    return (
        *first,
        Arm("crops_12", "12 crops", {"eval.crops": 12, **kind}, members=(trained,)),
        Arm("crops_144", "144 crops", {"eval.crops": 144, **kind}, members=(trained,)),
    )


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    return Study(
        name="crops",
        title="Multi-crop evaluation",
        question="Does the mean over 12 or 144 crops of an image beat one crop?",
        arms=_arms(small),
        questions=_QUESTIONS,
        fairness="images are larger than the network's input, so every scale shrinks them, and "
        "training saw boxes of the crops' sizes; but they are square, so 144 crops are 48 views, "
        "and a texture looks alike all over its patch."
        if small
        else "",
        differs="our 12 crops are GoogLeNet's first scale and centre square, as the paper does not "
        "say which it took"
        + ("; a small network, few epochs." if small else "; no image is left out."),
        **_SCALES.place("crops", scale, data),
    )

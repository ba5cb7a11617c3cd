"""Does the machinery see a difference where there is none, and find one where there is?

Not a claim of the paper: four questions whose answers are known, on synthetic images. It is
repeated many times, on new images each time, by `inception-jax controls`; one answer says nothing.

The arms are one network, one recipe and one set of images: `one`; `twin`, which trains on the same
images in another order (A/A: the same treatment under another name); and `planted`, in a third
order, whose test split lacks the signal in some images, which lowers any network's expected
accuracy by a known amount (`data/builders/controls.py`). Metric: accuracy after the last step.

Fixed before the first repeat, from a pilot of other images (`PILOT`): the share of images without a
signal, such that eight seeds find the loss about four times in five; and two margins, one within
which eight seeds show A/A equal about as often, and one below the planted loss, within which the
planted arm is not equal.
"""

from __future__ import annotations

from inception_jax.study.controls import Pilot
from inception_jax.study.definition import Arm, Question, Study

EFFECT = 0.0375  # of `data.options`: what a network that is never wrong otherwise would lose
MARGIN = 0.03  # of A/A
SMALLER = 0.02  # less than the planted loss
PILOT = Pilot(repeats=10, accuracy=0.8132, sd=0.02329)

_SHARED = {
    "data.name": "controls",
    "data.image_size": 12,
    "data.options.size": 12,
    "data.options.noise": 50.0,
    "data.options.train": 512,
    "data.options.test": 400,
    "data.batch_size": 32,
    "optim.learning_rate": 0.01,
    "train.epochs": 3.0,
    "parallel.devices": 1,
}

_ARMS = (
    Arm("one", "one order of the images"),
    Arm("twin", "another order", {"data.options.order": 1}),
    Arm("planted", "a third order, planted loss", {"data.options.order": 2,
                                                   "data.options.effect": EFFECT}),
)  # fmt: skip

_QUESTIONS = (
    Question("A/A", "Another order scores more.", treatment="twin", baseline="one"),
    Question(
        "planted", "The planted loss is there.", treatment="planted", baseline="one",
        direction="less",
    ),
    Question(
        "A/A equal", "Another order changes nothing.", treatment="twin", baseline="one",
        direction="equivalent", margin=MARGIN,
    ),
    Question(
        "planted equal", "The planted loss is nothing.", treatment="planted", baseline="one",
        direction="equivalent", margin=SMALLER,
    ),
)  # fmt: skip


def get_study(draw: int = 0) -> Study:
    """The study on one draw of the images."""
    return Study(
        name="controls",
        title="Controls",
        question="Does the machinery see a difference where there is none, and find a planted one?",
        base="mnist5k.py",
        data="controls",
        arms=_ARMS,
        questions=_QUESTIONS,
        overrides={**_SHARED, "data.options.draw": draw},
        seeds=8,
    )

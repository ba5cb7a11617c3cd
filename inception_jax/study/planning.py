"""A study's plan before it runs: seeds for a power, and what they cost; nothing is compiled.

Costs come from the traced program. Training is 3 times the forward pass's MACs (the backward pass
makes two products for each of the forward pass's), evaluation once; every epoch is evaluated as
the config says, on every split and with the averaged parameters where there are any.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.study import outcomes, power, search
from inception_jax.study.definition import Question, Study
from inception_jax.study.noise import Earlier, Noise

# Examples in training, examples in evaluation, classes, channels: of data sets that are large or
# that TFDS has to prepare, so that planning needs no copy of them.
_KNOWN: dict[str, tuple[int, int, int, int]] = {
    "imagenet2012": (1_281_167, 50_000, 1000, 3),
    "imagenette": (9_469, 3_925, 10, 3),
    "cifar10": (50_000, 10_000, 10, 3),
}


@dataclass(frozen=True)
class Target:
    """What is asked of a plan: effect in the metric's unit, power, and level of the study."""

    effect: float
    power: float
    alpha: float


@dataclass(frozen=True)
class QuestionPlan:
    """One question.

    Attributes:
        question: as the study states it.
        finds: in words, what the seeds are to find.
        noise: sd of its differences.
        alone: seeds needed were it the study's only question; None is more than any plan has.
        seeds: with Holm's adjustment, whatever the other questions say: at alpha / questions.
        cautious: the same with the upper 80 % limit of the sd.
        detectable: what the study's own number of seeds finds (for equivalence, the smallest
            margin), with Holm, in the metric's unit.
    """

    question: Question
    finds: str
    noise: Noise
    alone: int | None
    seeds: int | None
    cautious: int | None
    detectable: float


@dataclass(frozen=True)
class Work:
    """What one seed of all arms costs: images are counted each time that they are seen."""

    trials: int
    trained: int
    evaluated: int
    macs: int


@dataclass(frozen=True)
class Plan:
    """The plan of one study at one scale.

    Attributes:
        study: as it stands.
        target: what was asked for.
        questions: a row for each.
        earlier: where the noise comes from.
        work: of one seed.
        search: of the search before the study, all of its trials; None where there is none.
        uncounted: arms whose cost is not known here, and why.
    """

    study: Study
    target: Target
    questions: tuple[QuestionPlan, ...]
    earlier: Earlier
    work: Work
    search: Work | None = None
    uncounted: dict[str, str] = field(default_factory=dict)

    @property
    def seeds(self) -> int | None:
        """Seeds that serve every question, with Holm; None where one is out of reach."""
        needed = [row.seeds for row in self.questions]
        return None if None in needed else max(seeds for seeds in needed if seeds is not None)


def make(study: Study, target: Target, earlier: Earlier) -> Plan:
    """The plan of `study`.

    Args:
        study: with arms and questions.
        target: effect, power and level.
        earlier: from `noise.fit`.

    Raises:
        UserError: the study trains nothing.
    """
    if not study.questions:
        raise errors.UserError(f"study {study.name!r} only counts costs: there is nothing to plan")
    work, uncounted = work_of(study)
    rows = tuple(
        _question(study, question, noise, target)
        for question, noise in zip(study.questions, earlier.noises, strict=True)
    )
    return Plan(study, target, rows, earlier, work, _search_of(study), uncounted)


def _question(study: Study, question: Question, noise: Noise, target: Target) -> QuestionPlan:
    level = target.alpha / len(study.questions)  # Holm's first step: enough for every question
    if outcomes.counted(study, question):
        return _counted(study, question, noise, target, level)
    margin = question.margin or 0.0
    # "supported" where there is no difference is what a margin is for; else it is the effect
    distance = margin or target.effect
    if question.direction == "equivalent":
        finds, power_of, reach = "equal within ±{}", power.tost_power, power.equivalence_margin
    else:
        finds = "no worse than −{}" if question.direction == "greater" else "no more than +{}"
        if not margin:
            finds = "+{}" if question.direction == "greater" else "−{}"
        power_of, reach = power.t_power, power.detectable
    # one seed gives no difference to test
    smallest = reach(study.seeds, level, target.power) if study.seeds > 1 else float("inf")

    def needed(sd: float, alpha: float) -> int | None:
        return power.seeds_needed(_at(power_of, distance / sd, alpha), target.power)

    return QuestionPlan(
        question=question,
        finds=finds.format(f"{100 * distance:.2f}"),
        noise=noise,
        alone=needed(noise.sd, target.alpha),
        seeds=needed(noise.sd, level),
        cautious=needed(noise.high, level),
        detectable=noise.sd * smallest,
    )


def _counted(
    study: Study, question: Question, noise: Noise, target: Target, level: float
) -> QuestionPlan:
    """A difference of shares, found by McNemar's test, to which the noise is nothing."""

    def needed(alpha: float) -> int | None:
        return power.seeds_needed(_at(power.counted_power, target.effect, alpha), target.power)

    sign, seeds = "+" if question.direction == "greater" else "−", needed(level)
    return QuestionPlan(
        question=question,
        finds=f"{sign}{100 * target.effect:.2f}",
        noise=noise,
        alone=needed(target.alpha),
        seeds=seeds,
        cautious=seeds,
        detectable=power.counted_detectable(study.seeds, level, target.power),
    )


def _at(power_of: Callable[..., float], distance: float, alpha: float) -> Callable[[int], float]:
    return lambda n: power_of(distance, n, alpha)


def _search_of(study: Study) -> Work | None:
    if study.search is None:
        return None
    one, _ = work_of(search.phase(study))
    seeds = study.search.seeds
    return Work(*(seeds * count for count in dataclasses.astuple(one)))


def work_of(study: Study) -> tuple[Work, dict[str, str]]:
    """What one seed of all arms costs, and the arms that could not be counted, with the reason."""
    trained = evaluated = macs = 0
    uncounted: dict[str, str] = {}
    counted: dict[str, int] = {}
    for arm in study.arms:
        config = study.config(arm, 0)
        try:
            if arm.members:
                members = [study.config(study.arm(name), 0) for name in arm.members]
                forward, images, tests = _together(config, members, counted)
            else:
                forward, images, tests = _trained(config, counted)
        except (errors.UserError, OSError) as error:
            uncounted[arm.name] = str(error)
            continue
        trained += images
        evaluated += tests
        macs += forward * (3 * images + tests)
    return Work(len(study.arms), trained, evaluated, macs), uncounted


def _trained(config: ConfigDict, counted: dict[str, int]) -> tuple[int, int, int]:
    """MACs of a forward pass, images seen in training, images seen in evaluation; one seed."""
    sizes = _sizes(config)
    derived = config_lib.resolve(config, sizes.train).derived
    every = derived.eval_every
    passes = derived.steps // every + (derived.steps % every > 0)
    kinds = 2 if config.optim.ema_decay else 1
    forward = _forward(config, sizes, counted)
    tests = passes * kinds * (sizes.validation + sizes.test)
    return forward, derived.steps * config.data.batch_size, tests


def _together(
    config: ConfigDict, members: list[ConfigDict], counted: dict[str, int]
) -> tuple[int, int, int]:
    """The same of an arm that trains nothing: every crop of the test split through each member."""
    sizes = _sizes(config)
    forward = sum(_forward(member, sizes, counted) for member in members)
    return forward, 0, sizes.test * config.eval.crops


@dataclass(frozen=True)
class _Sizes:
    """Examples of each split, classes, channels."""

    train: int
    validation: int
    test: int
    classes: int
    channels: int


def _sizes(config: ConfigDict) -> _Sizes:
    name = config.data.name
    fraction = config.data.validation_fraction
    if name in _KNOWN:
        train, tests, classes, channels = _KNOWN[name]
        held = round(train * fraction)
        return _Sizes(train - held, held, tests, classes, channels)
    from inception_jax.data import builders

    if name in builders.BUNDLED:
        bundle = builders.bundle(name, config.data.options.to_dict())
        sizes = {
            role: sum(bundle.sizes[split] for split in splits)
            for role, splits in bundle.roles.items()
        }
        held = 0 if "validation" in sizes else round(sizes["train"] * fraction)
        classes, channels = len(bundle.class_names), bundle.image_shape[2]
        validation = sizes.get("validation", held)
        return _Sizes(sizes["train"] - held, validation, sizes["test"], classes, channels)
    from inception_jax import data

    info = data.info(config.data)
    train, validation, tests = (info.sizes.get(role, 0) for role in ("train", "validation", "test"))
    return _Sizes(train, validation, tests, info.num_classes, info.channels)


def _forward(config: ConfigDict, sizes: _Sizes, counted: dict[str, int]) -> int:
    """MACs of one image, traced once for each network."""
    size, classes, channels = config.data.image_size, sizes.classes, sizes.channels
    model: dict[str, Any] = config.model.to_dict()
    key = json.dumps([model, size, channels, classes])
    if key not in counted:
        from inception_jax import cost, models

        network = models.from_config(config.model, classes)
        counted[key] = cost.count(network, size, channels).macs
    return counted[key]

"""What a study is: arms, questions and cost claims as plain data, read from `experiments/NAME.py`.

Nothing here imports jax; a study is described, listed and checked in milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_collections import ConfigDict

from inception_jax import config as config_lib
from inception_jax import errors

SCALES = ("smoke", "default", "paper")
DIRECTIONS = ("greater", "less", "equivalent")
Direction = Literal["greater", "less", "equivalent"]
REPEATED = "controls"  # of the experiments, the one that `inception-jax controls` runs
Kernel = tuple[int, int]

# A metric of a question: a key of `result.json`'s metrics, or one of the forms of `study.outcomes`.
METRIC = re.compile(r"(?:(early|time_to)\((\w+), (0?\.\d+|1)\)|\w+)")
# of a count: only plain numbers, so that a form from another machine can do nothing but print
_FORM = re.compile(r"[^{}]*(?:\{\d{0,2}(?::,?(?:\.\d)?[%defg]?)?\}[^{}]*)*")
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Arm:
    """One treatment: the base config with `overrides` (dotted key -> value) applied.

    Attributes:
        name: also the name of its folder: letters, digits, `_`, `-`, `.`.
        label: as it is printed in tables and plots.
        overrides: what sets the arm apart from the others.
        members: names of trained arms. Then this one trains nothing: its trial of a seed evaluates
            theirs of the same seed, together where there are several, by `eval.crops` and
            `eval.weights`, the only keys that its overrides may have.
        seed_offset: added to the seed, so that arms with one config are independent members.
    """

    name: str
    label: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    seed_offset: int = 0

    def __post_init__(self) -> None:
        if not FOLDER_NAME.fullmatch(self.name):
            raise ValueError(f"arm name {self.name!r} cannot be a folder name")
        if self.members and not {"eval.crops", "eval.weights"} >= set(self.overrides):
            raise ValueError(f"arm {self.name!r} trains nothing; it can only set eval.*")


@dataclass(frozen=True)
class Question:
    """A claim about two arms, with its decision rule fixed before the study runs.

    Attributes:
        claim: id in the list of claims, as in "A1".
        statement: the claim in one sentence; *supported* means that this sentence holds.
        treatment: name of the arm that the claim is about.
        baseline: name of the arm that it is compared with.
        direction: of treatment minus baseline.
        margin: in the metric's unit (0.01 is one point of accuracy). With "greater" or "less" it
            makes the question one of non-inferiority, with "equivalent" it is required.
        paper: the paper's figure as printed.
        source: where in the paper it stands.
        metric: what it is about, in the words of `study.outcomes`; "" is the study's metric.
    """

    claim: str
    statement: str
    treatment: str
    baseline: str
    direction: Direction = "greater"
    margin: float | None = None
    paper: str = ""
    source: str = ""
    metric: str = ""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction {self.direction!r} is none of {', '.join(DIRECTIONS)}")
        if self.direction == "equivalent" and self.margin is None:
            raise ValueError(f"question {self.claim}: equivalence needs a margin")
        if self.metric and not METRIC.fullmatch(self.metric):
            raise ValueError(
                f"question {self.claim}: metric {self.metric!r} is neither a name nor "
                "early(NAME, SHARE) nor time_to(NAME, LEVEL)"
            )


@dataclass(frozen=True)
class CostClaim:
    """A claim decided by counting multiply-adds: over chains of kernels, or over the arms.

    Attributes:
        claim: id in the list of claims, as in "K1".
        statement: the claim in one sentence.
        paper: the paper's figure as printed.
        source: where in the paper it stands.
        quantity: "ratio" is before over after, "saving" is one minus after over before, "spread"
            is the largest deviation of the arms' MACs from the first arm's, relative, and "counted"
            is what `measure` counts.
        chains: pairs (before, after) of kernel chains, with equal filters and grid throughout.
        arms: the arms that "spread" is taken over.
        expected: the paper's figure as numbers, one for each chain; for "spread" the limit.
        tolerance: half a unit of the last digit that the paper prints.
        measure: a name of `study.counting.MEASURES`.
        form: how what it counts is printed, as of `str.format`.
        limit: every count must stay below `expected`, instead of coming within the tolerance.
        why: where ours and the paper's part, the reason in a sentence.
    """

    claim: str
    statement: str
    paper: str
    source: str
    quantity: Literal["ratio", "saving", "spread", "counted"]
    expected: tuple[float, ...]
    tolerance: float = 0.0
    chains: tuple[tuple[tuple[Kernel, ...], tuple[Kernel, ...]], ...] = ()
    arms: tuple[str, ...] = ()
    measure: str = ""
    form: str = ""
    limit: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in ("ratio", "saving", "spread", "counted"):
            raise ValueError(f"claim {self.claim}: unknown quantity {self.quantity!r}")
        if self.quantity == "spread" and not (self.arms and self.expected):
            raise ValueError(f"claim {self.claim}: a spread is over arms, with a limit")
        sides = [side for pair in self.chains for side in pair]
        sizes = [size for side in sides for kernel in side for size in kernel]
        if not all(sides) or not all(0 < size < 1000 for size in sizes):
            raise ValueError(f"claim {self.claim}: chains are of kernels with positive sides")
        if not _FORM.fullmatch(self.form):
            raise ValueError(f"claim {self.claim}: form {self.form!r} may only print numbers")


@dataclass(frozen=True)
class Search:
    """A key that each arm has tuned for itself before the study: the same tries for all.

    Attributes:
        key: of the config, as in "optim.learning_rate".
        values: what is tried, in rising order.
        metric: of the validation split; the highest mean is chosen.
        seeds: trials of each value.
    """

    key: str
    values: tuple[float, ...]
    metric: str = "validation_top1"
    seeds: int = 2

    def __post_init__(self) -> None:
        if not self.metric.startswith("validation_"):
            raise ValueError(f"a search goes by the validation split, not by {self.metric!r}")


@dataclass(frozen=True)
class Early:
    """Looks before the last seed, fixed before the first trial; rules in `study.early`.

    Attributes:
        looks: shares of the planned seeds at which the questions are looked at, rising to 1.
        spending: how much of the error each look may spend, a name of `sequential.SPENDING`:
            "obrien_fleming" keeps most of it for the end, "pocock" gives each look much the same.
    """

    looks: tuple[float, ...] = (0.5, 0.75, 1.0)
    spending: Literal["obrien_fleming", "pocock"] = "obrien_fleming"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in itertools.pairwise(self.looks))
        if not self.looks or not rising or self.looks[0] <= 0 or self.looks[-1] != 1:
            raise ValueError(f"looks must rise to 1, got {self.looks}")
        if self.spending not in ("obrien_fleming", "pocock"):
            raise ValueError(f"spending {self.spending!r} is neither obrien_fleming nor pocock")


@dataclass(frozen=True)
class Study:
    """Arms times seeds on one data set, and what is asked of them.

    Without arms it trains nothing and only counts what `costs` is about.

    Attributes:
        name: as on the command line; its file is `experiments/NAME.py`.
        title: heading of the report.
        question: what the study asks, in a sentence or two.
        base: the config file that every arm starts from, as in "mnist5k.py".
        data: name of the data set.
        scale: one of `SCALES`.
        arms: the treatments.
        questions: accuracy claims.
        costs: cost claims.
        overrides: of every arm, before the arm's own.
        metric: key of `result.json`'s metrics that the questions are about, fixed in advance.
        seeds: number of seeds; seed i of every arm shares data order and augmentation.
        planned_seeds: what `seeds` was before the first result; kept by the study's folder.
        memory_gb: what one trial needs at its peak.
        fairness: why this is a fair miniature of the paper's experiment, and where it is not.
        differs: what differs from the paper's set-up.
        search: what every arm has tuned for itself first.
        early: the rule by which arms may stop before their last seed, where the user asks for it.
    """

    name: str
    title: str
    question: str
    base: str
    data: str
    arms: tuple[Arm, ...]
    questions: tuple[Question, ...]
    costs: tuple[CostClaim, ...] = ()
    scale: str = "default"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "test_top1"
    seeds: int = 8
    planned_seeds: int = 0
    memory_gb: float = 1.5
    fairness: str = ""
    differs: str = ""
    search: Search | None = None
    early: Early | None = None

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"study {self.name}: two arms share a name")
        asked = {q.treatment for q in self.questions} | {q.baseline for q in self.questions}
        unknown = (asked | {arm for cost in self.costs for arm in cost.arms}) - set(names)
        if unknown:
            raise ValueError(f"study {self.name}: no arm named {', '.join(sorted(unknown))}")
        trained = {arm.name for arm in self.arms if not arm.members}
        untrained = {name for arm in self.arms for name in arm.members} - trained
        if untrained:
            raise ValueError(f"study {self.name}: no trained arm {', '.join(sorted(untrained))}")
        counted = any(self.metric_of(question) == "diverged" for question in self.questions)
        if self.early and counted:
            raise ValueError(f"study {self.name}: early looks are for t tests, not for counts")
        if self.seeds < 1:
            raise errors.UsageError(f"a study needs at least 1 seed, got {self.seeds}")

    def metric_of(self, question: Question) -> str:
        """What a question is about: the metric that it names, or the study's."""
        return question.metric or self.metric

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return self._by_name[name]

    @functools.cached_property
    def _by_name(self) -> dict[str, Arm]:
        return {arm.name: arm for arm in self.arms}

    def config(self, arm: Arm, seed: int) -> ConfigDict:
        """The config of one trial."""
        own = dict(arm.overrides)
        if arm.members:
            own = {**self.arm(arm.members[0]).overrides, **own, "eval.members": arm.members}
        overrides = {**self.overrides, **own, "seed": seed + arm.seed_offset}
        return config_lib.apply(config_lib.load_file(self.base), overrides)

    def with_seeds(self, seeds: int) -> Study:
        """The same study with another number of seeds."""
        return dataclasses.replace(self, seeds=seeds)


def names() -> list[str]:
    """Every study that comes with the software, in alphabetical order."""
    files = config_lib.folder("experiments").glob("*.py")
    return sorted(file.stem for file in files if file.stem != REPEATED)


def load(name: str, scale: str = "default", data: str | None = None) -> Study:
    """The study of `experiments/NAME.py` at a scale, on its own or another data set.

    Raises:
        UsageError: unknown study, scale or data set; the message names the nearest known one.
    """
    name = name.replace("-", "_")
    if name == REPEATED:
        raise errors.UsageError("the controls are repeated many times: inception-jax controls")
    if name not in names():
        raise errors.unknown("study", name, names())
    if scale not in SCALES:
        raise errors.unknown("scale", scale, SCALES)
    module = config_lib.load_module(config_lib.folder("experiments") / f"{name}.py")
    return module.get_study(scale=scale, data=data)


def known_data(study: str, data: str, known: Iterable[str]) -> str:
    """`data`, or a UsageError that names the data sets on which the study is defined."""
    choices = sorted(known)
    if data not in choices:
        raise errors.UsageError(
            f"study {study!r} is not defined on data {data!r}; choose one of {', '.join(choices)}"
        )
    return data

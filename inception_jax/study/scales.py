"""Where a study runs: its data sets, base config and number of seeds at each scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from inception_jax.study.definition import known_data

Overrides = Mapping[str, Any]

_SMOKE: Overrides = {"model.width": 0.25, "train.max_steps": 20, "train.log_every_steps": 5}


class Place(TypedDict):
    """The fields of a `Study` that its scale and data set decide."""

    scale: str
    base: str
    data: str
    overrides: Overrides
    seeds: int


@dataclass(frozen=True)
class Scales:
    """The three scales of a study.

    Attributes:
        small: data set -> what it needs on top of the base config, of the smoke and the default
            scale; the first is the default scale's own, the smoke scale's own is "digits".
        shared: overrides of every trial at these two scales.
        smoke: overrides of the smoke scale alone, after its small width and its 20 steps.
        paper: overrides of every trial at the paper's scale, on ImageNet.
        paper_base: the config that these trials start from.
        seeds: of the default scale.
    """

    small: Mapping[str, Overrides]
    shared: Overrides = field(default_factory=dict)
    smoke: Overrides = field(default_factory=dict)
    paper: Overrides = field(default_factory=dict)
    paper_base: str = "imagenet.py"
    seeds: int = 8

    def place(self, study: str, scale: str, data: str | None) -> Place:
        """The fields of the study at this scale, on its own data set or another.

        Raises:
            UsageError: the study is not defined on that data set at that scale.
        """
        if scale == "paper":
            chosen = known_data(study, data or "imagenet2012", ["imagenet2012"])
            base, overrides = self.paper_base, self.paper
            return Place(scale=scale, base=base, data=chosen, overrides=overrides, seeds=4)
        own = "digits" if scale == "smoke" else next(iter(self.small))
        chosen = known_data(study, data or own, self.small)
        overrides = {"data.name": chosen, **self.shared, **self.small[chosen]}
        if scale == "smoke":
            overrides |= {**_SMOKE, **self.smoke}
        return Place(
            scale=scale,
            base="mnist5k.py",
            data=chosen,
            overrides=overrides,
            seeds=2 if scale == "smoke" else self.seeds,
        )

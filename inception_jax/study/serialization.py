"""A study as JSON-able data and back, and the part of it that may not change while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from inception_jax.study.definition import Arm, CostClaim, Early, Question, Search, Study


def to_dict(study: Study) -> dict[str, Any]:
    """The study as JSON-able data; `from_dict` is its inverse."""
    return _plain(dataclasses.asdict(study))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def from_dict(data: Mapping[str, Any]) -> Study:
    """The study that `to_dict` wrote.

    Raises:
        ValueError, KeyError, TypeError: the data does not describe a study.
    """
    fields = dict(data)
    fields["arms"] = tuple(
        Arm(**{**arm, "members": tuple(arm.get("members", ()))}) for arm in fields["arms"]
    )
    fields["questions"] = tuple(Question(**question) for question in fields["questions"])
    fields["costs"] = tuple(_cost_claim(cost) for cost in fields["costs"])
    search = fields.get("search")
    fields["search"] = Search(**{**search, "values": tuple(search["values"])}) if search else None
    early = fields.get("early")
    fields["early"] = Early(**{**early, "looks": tuple(early["looks"])}) if early else None
    return Study(**fields)


def _cost_claim(data: Mapping[str, Any]) -> CostClaim:
    chains = tuple(
        (tuple(tuple(kernel) for kernel in before), tuple(tuple(kernel) for kernel in after))
        for before, after in data["chains"]
    )
    exact = {"chains": chains, "expected": tuple(data["expected"]), "arms": tuple(data["arms"])}
    return CostClaim(**{**data, **exact})


def identity(study: Study) -> dict[str, Any]:
    """What may not change while a study's folder fills: all but the number of seeds and the prose.

    Margins and directions count: they are fixed before the first trial runs.
    """
    questions = [
        (q.claim, q.treatment, q.baseline, q.direction, q.margin, *([q.metric] if q.metric else []))
        for q in study.questions
    ]
    facts = {
        "study": study.name,
        "scale": study.scale,
        "data": study.data,
        "base": study.base,
        "overrides": study.overrides,
        "arms": {arm.name: arm.overrides for arm in study.arms},
        "members": {arm.name: arm.members for arm in study.arms if arm.members},
        "seed_offsets": {arm.name: arm.seed_offset for arm in study.arms if arm.seed_offset},
        "questions": questions,
        "metric": study.metric,
        "search": dataclasses.asdict(study.search) if study.search else None,
        "early": dataclasses.asdict(study.early) if study.early else None,
    }
    return _plain(facts)

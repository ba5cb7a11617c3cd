"""A study as JSON-able data and back, and the part of it that may not change while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from inception_jax.study.definition import Arm, CostClaim, Early, Question, Search, Study

T = TypeVar("T", Arm, Question, CostClaim, Search, Early, Study)


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
    """The study that `to_dict` wrote; it may come from anywhere, so types and sizes are checked.

    Raises:
        ValueError, KeyError, TypeError: the data does not describe a study.
    """
    fields = dict(data)
    fields["arms"] = tuple(
        _checked(Arm(**{**arm, "members": tuple(arm.get("members", ()))})) for arm in fields["arms"]
    )
    fields["questions"] = tuple(_checked(Question(**question)) for question in fields["questions"])
    fields["costs"] = tuple(_checked(_cost_claim(cost)) for cost in fields["costs"])
    search, early = fields.get("search"), fields.get("early")
    if search:
        search = _checked(Search(**{**search, "values": tuple(search["values"])}))
    if early:
        early = _checked(Early(**{**early, "looks": tuple(early["looks"])}))
    fields |= {"search": search or None, "early": early or None}
    study = _checked(Study(**fields))
    if len(study.arms) * study.seeds > _MOST_TRIALS:
        raise ValueError(f"{len(study.arms)} arms with {study.seeds} seeds are no study")
    return study


_MOST_TRIALS = 100_000
_LONGEST = 20_000  # characters of a text
# annotation of a field -> what it may hold; fields of other types are checked where they are made
_KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "Mapping[str, Any]": dict,
    "tuple[str, ...]": tuple,
    "tuple[float, ...]": tuple,
}


def _checked(made: T) -> T:
    """The dataclass instance, if its fields hold what they are annotated with."""
    for field in dataclasses.fields(made):
        value, kind = getattr(made, field.name), str(field.type)
        if kind in _KINDS and not isinstance(value, _KINDS[kind]):
            raise TypeError(f"{field.name} cannot be {value!r}")
        items = value if isinstance(value, tuple) else (value,)
        if kind == "tuple[str, ...]" and not all(isinstance(item, str) for item in items):
            raise TypeError(f"{field.name} cannot be {value!r}")
        numbers = [item for item in items if isinstance(item, float | int)]
        if kind == "tuple[float, ...]" and len(numbers) != len(items):
            raise TypeError(f"{field.name} cannot be {value!r}")
        if any(not abs(number) < 1e15 for number in numbers):
            raise ValueError(f"{field.name} cannot be {value!r}")
        if any(isinstance(item, str) and len(item) > _LONGEST for item in items):
            raise ValueError(f"{field.name} is too long")
    return made


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

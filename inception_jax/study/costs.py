"""Costs: of each arm's network, counted once and kept with the study, and the claims about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from inception_jax import config as config_lib
from inception_jax import errors
from inception_jax.study import files, store
from inception_jax.study.definition import CostClaim, Kernel, Study
from inception_jax.study.stats import Verdict

# Beside the arms in the file; no arm can be called so.
_MEASURES, _ORIGIN = "(measures)", "(origin)"


@dataclass(frozen=True)
class ArmCost:
    """What one arm's network costs for one image: parameters and multiply-adds."""

    params: int
    macs: int


@dataclass(frozen=True)
class CostRow:
    """A cost claim beside our count of it."""

    claim: CostClaim
    ours: tuple[float, ...]
    verdict: Verdict


def chain_macs(kernels: Sequence[Kernel]) -> int:
    """Multiply-adds of a chain of convolutions per output position and pair of filters.

    Filters and grid are equal throughout, so they cancel from every ratio (paper, section 3).
    """
    return sum(height * width for height, width in kernels)


def decide(
    claim: CostClaim,
    macs: Mapping[str, int],
    counted: Mapping[str, tuple[float, ...]] | None = None,
) -> CostRow:
    """Counts what the claim is about and sets it against the paper's figure.

    A "ratio" or "saving" is supported where it rounds to the paper's figure, a "spread" where it
    stays below the limit. Without the arms' costs a "spread" is inconclusive, and so is a claim
    whose `measure` is not in `counted`.
    """
    if claim.quantity == "counted":
        ours = (counted or {}).get(claim.measure, ())
        return CostRow(claim, ours, _held_against(claim, ours))
    if claim.quantity == "spread":
        if any(arm not in macs for arm in claim.arms):
            return CostRow(claim, (), "inconclusive")
        first = macs[claim.arms[0]]
        ours = (max(abs(macs[arm] / first - 1) for arm in claim.arms),)
        return CostRow(claim, ours, "supported" if ours[0] <= claim.expected[0] else "contradicted")
    pairs = [(chain_macs(before), chain_macs(after)) for before, after in claim.chains]
    if claim.quantity == "ratio":
        ours = tuple(before / after for before, after in pairs)
    else:
        ours = tuple(1 - after / before for before, after in pairs)
    return CostRow(claim, ours, _held_against(claim, ours))


def _held_against(claim: CostClaim, ours: tuple[float, ...]) -> Verdict:
    """Whether the first of our numbers are the paper's; any more are only printed."""
    if len(ours) < len(claim.expected):
        return "inconclusive"
    pairs = zip(ours, claim.expected, strict=False)
    if claim.limit:
        holds = all(found < limit for found, limit in pairs)
    else:
        holds = all(abs(found - wanted) <= claim.tolerance + 1e-12 for found, wanted in pairs)
    return "supported" if holds else "contradicted"


def count(root: Path, study: Study) -> None:
    """Counts every arm's cost and keeps it in the study's folder; imports jax.

    Arms that cannot be counted (a data set that is not on this machine) are left out.
    """
    path = root / files.COSTS_FILE
    held = store.read_json(path)
    known: dict[str, Any] = held if isinstance(held, dict) else {}
    configs = store.arm_configs(study)
    together = [arm for arm in study.arms if arm.members]
    stale = [
        arm
        for arm, config in configs.items()
        if arm not in {arm.name for arm in together}
        if not isinstance(known.get(arm), dict) or known[arm].get("of") != _subject(config)
    ]
    for arm in stale:
        try:
            known[arm] = {**_count(configs[arm]), "of": _subject(configs[arm])}
        except (errors.UserError, OSError):
            known.pop(arm, None)
    for arm in together:
        known.pop(arm.name, None)
        if all(name in known for name in arm.members):
            known[arm.name] = _sum([known[name] for name in arm.members], configs[arm.name])
    measures = [claim.measure for claim in study.costs if claim.measure]
    if measures:
        from inception_jax.study import counting
        from inception_jax.train import result

        known[_MEASURES] = {name: counting.MEASURES[name]() for name in measures}
        known[_ORIGIN] = {
            "dates": result.now(),
            "commit": result.commit(),
            "versions": ", ".join(f"{name} {found}" for name, found in result.versions().items()),
        }
    if (stale or together or measures) and known:
        kept = [*configs, _MEASURES, _ORIGIN]
        store.write_json(path, {name: known[name] for name in kept if name in known})


def _sum(members: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, int]:
    """Of an arm that evaluates others: all of their parameters, every crop through each network."""
    macs = sum(member["macs"] for member in members) * config["eval"]["crops"]
    return {"params": sum(member["params"] for member in members), "macs": macs}


def _subject(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that decides the cost."""
    data = {key: config["data"][key] for key in ("name", "image_size", "options")}
    return json.loads(json.dumps({"model": config["model"], "data": data}))


def _count(plain: Mapping[str, Any]) -> dict[str, int]:
    from inception_jax import cost, data, models

    config = cast(Any, config_lib.from_json(json.dumps(plain)))
    info = data.info(config.data)
    channels = info.image_shape[2] if info.image_shape else 3
    model = models.from_config(config.model, info.num_classes)
    counted = cost.count(model, image_size=config.data.image_size, channels=channels)
    return {"params": int(counted.params), "macs": int(counted.macs)}


def read_measures(root: Path) -> dict[str, tuple[float, ...]]:
    """What `count` kept of the claims' measures."""
    held = store.read_json(root / files.COSTS_FILE)
    found = held.get(_MEASURES) if isinstance(held, dict) else None
    return {
        name: tuple(values)
        for name, values in (found.items() if isinstance(found, dict) else ())
        if isinstance(values, list) and all(isinstance(value, int | float) for value in values)
    }


def origin(root: Path) -> dict[str, str]:
    """When, at which commit and with which versions `count` took the claims' measures."""
    held = store.read_json(root / files.COSTS_FILE)
    found = held.get(_ORIGIN) if isinstance(held, dict) else None
    return {
        name: str(value)[:500]
        for name, value in (found.items() if isinstance(found, dict) else ())
        if name in ("dates", "commit", "versions")
    }


def read(root: Path) -> dict[str, ArmCost]:
    """The costs that `count` kept; an arm that is not there, or not readable, is left out."""
    held = store.read_json(root / files.COSTS_FILE)
    found: dict[str, ArmCost] = {}
    for arm, entry in held.items() if isinstance(held, dict) else ():
        if isinstance(entry, dict):
            params, macs = entry.get("params"), entry.get("macs")
            if isinstance(params, int) and isinstance(macs, int) and params >= 0 and macs > 0:
                found[arm] = ArmCost(params, macs)
    return found

"""Whether tensors are the ones that a network needs: all of them, no others, of its shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from inception_jax import errors
from inception_jax.weights import rules, slots
from inception_jax.weights.rules import Rules

_LISTED = 12  # names in one message


def layer_names(chosen: Rules, *, heads: bool) -> set[str]:
    """Every tensor name that a source can have, of its auxiliary heads or of the rest."""
    layout = chosen.layout
    patterns = (
        layout.kernel, layout.scale, layout.bias, layout.mean, layout.var, layout.conv_bias,
        layout.counter, layout.dense_kernel, layout.dense_bias,
    )  # fmt: skip
    layers = [
        layer
        for module, names in chosen.layers.items()
        if module.startswith("AuxLogits_") == heads
        for layer in names
    ]
    return {pattern.format(layer) for pattern in patterns if pattern for layer in layers}


def check(
    label: str,
    chosen: Rules,
    names: Collection[str],
    expected: Iterable[slots.Slot],
    optional: Collection[str],
) -> None:
    """Raises UserError where tensors are missing or left over, and lists them.

    Args:
        label: the file, as messages call it.
        chosen: the source's rules.
        names: of the tensors that are there.
        expected: what the network needs.
        optional: what may be there besides.
    """
    slot_of = {slot.theirs: slot for slot in expected}
    needed = {name for name, slot in slot_of.items() if slot.role != "counter"}
    missing = sorted(needed - set(names))
    unused = sorted(set(names) - set(slot_of) - set(optional))
    if not missing and not unused:
        return
    if len(missing) > len(needed) / 2:
        raise errors.UserError(_another(label, chosen, names))
    parts = [
        f"{len(found)} {what}: {listed(found)}"
        for what, found in (("missing", missing), ("unused", unused))
        if found
    ]
    message = f"{label} is not {_title(chosen)}: {'; '.join(parts)}"
    if missing and all(slot_of[name].role == "classifier" for name in missing):
        message += "; num_classes=N makes a new classifier"
    raise errors.UserError(message)


def _another(label: str, chosen: Rules, names: Collection[str]) -> str:
    """The message where most of the network is missing; names what the tensors are, if known."""
    known = [
        (source, network, other)
        for source, networks in rules.SOURCES.items()
        for network, other in networks.items()
    ]
    scores = [len(layer_names(other, heads=False) & set(names)) for _, _, other in known]
    best = max(range(len(known)), key=scores.__getitem__)
    message = f"{label} is not {_title(chosen)}: most of its tensors are missing"
    if scores[best] > len(names) / 2:
        source, network, other = known[best]
        return (
            f"{message}; the names are those of {_title(other)}: source {source}, network {network}"
        )
    return f"{message}, and the names are of no known network, as {listed(sorted(names)[:2])}"


def _title(chosen: Rules) -> str:
    return f"{chosen.model} of {chosen.title}"


def misshapen(label: str, chosen: Rules, wrong: Mapping[str, tuple[int, ...]]) -> errors.UserError:
    """The error for tensors whose shape or type does not fit."""
    names = [f"{name} {list(shape)}" for name, shape in sorted(wrong.items())]
    return errors.UserError(
        f"{label} is not {_title(chosen)}: {len(wrong)} of another shape or type: {listed(names)}"
    )


def listed(names: list[str]) -> str:
    """Names after commas, the first dozen of many."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more

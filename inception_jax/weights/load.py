"""Weights of other frameworks as a network and its variables."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import errors, models
from inception_jax.models.network import InceptionNetwork
from inception_jax.weights import (
    files,
    keras_file,
    matching,
    rules,
    slots,
    torch_file,
    training_state,
)
from inception_jax.weights.rules import Rules

AUX = ("load", "drop", "init")
Source = str | os.PathLike[str] | Mapping[str, Any]
Tensors = dict[str, np.ndarray]
Variables = dict[str, Any]

log = logging.getLogger("inception_jax.weights")


@dataclasses.dataclass(frozen=True)
class Imported:
    """What an import gave.

    Attributes:
        model: the network, with the source's rules as its options.
        variables: {"params", "batch_stats"}, float32.
        rules: the source's.
        notes: what was changed or made anew, a line each.
    """

    model: InceptionNetwork
    variables: Variables
    rules: Rules
    notes: tuple[str, ...]


def load(
    source: str,
    file_or_mapping: Source,
    *,
    network: str | None = None,
    aux: str | None = None,
    num_classes: int | None = None,
    ema: bool = False,
    seed: int = 0,
    **overrides: Any,
) -> tuple[InceptionNetwork, Variables]:
    """A network and its weights; `read` has the arguments and errors.

    What is changed on the way (float16, a background class, a new head) is logged as a warning.
    """
    chosen: dict[str, Any] = {"network": network, "aux": aux, "num_classes": num_classes}
    found = read(source, file_or_mapping, ema=ema, seed=seed, **chosen, **overrides)
    for note in found.notes:
        log.warning("%s", note)
    return found.model, found.variables


def read(
    source: str,
    file_or_mapping: Source,
    *,
    network: str | None = None,
    aux: str | None = None,
    num_classes: int | None = None,
    ema: bool = False,
    seed: int = 0,
    **overrides: Any,
) -> Imported:
    """A network, its weights, the rules they come with and what was changed.

    Args:
        source: a name of `rules.SOURCES`: "torchvision", "timm", "timm.gluon_in1k", "keras",
            "slim", "bninception".
        file_or_mapping: a file of any known format, or tensors by name (NumPy, JAX or torch).
        network: "inception_v3", "googlenet" or "bn_inception"; None is the source's first.
        aux: auxiliary heads: "load" them, "drop" them, or "init" new ones. None loads them where
            the source has them.
        num_classes: None keeps the source's, without a background class. Another number makes new
            classifiers.
        ema: take the averaged weights that a run's checkpoint holds beside the last ones.
        seed: of what is made anew.
        **overrides: options of the network that leave its parameters alone, as dtype or dropout.

    Raises:
        UsageError: an unknown source, network, option or choice.
        UserError: an unreadable file, tensors of another network, or unused, missing or misshapen
            tensors, which it lists.
    """
    chosen = rules.find(source, network)
    if aux is not None and aux not in AUX:
        raise errors.unknown("choice of aux", aux, AUX)
    notes: list[str] = []
    label, tensors = _tensors(source, chosen, file_or_mapping, ema, notes)
    of_heads = matching.layer_names(chosen, heads=True)
    has_heads = bool(of_heads & set(tensors))
    keep_heads = has_heads if aux is None else aux == "load"
    if keep_heads and not has_heads:
        raise errors.UserError(f"{label} has no auxiliary head; use aux='init' or aux='drop'")

    own = _classes(tensors, chosen)
    kept = own - 1 if own == 1001 and chosen.background and num_classes != 1001 else own
    sites = chosen.heads if keep_heads or aux == "init" else ()
    if aux == "init" and not sites:
        sites = models.aux_sites(chosen.model)
    model = _create(chosen, sites, num_classes or kept or 1000, overrides)

    new_classifier = num_classes is not None and num_classes != kept
    everything = slots.of(chosen, model)
    expected = [
        slot
        for slot in everything
        if (keep_heads or not slot.of_head) and not (new_classifier and slot.role == "classifier")
    ]
    unneeded = {slot.theirs for slot in everything} - {slot.theirs for slot in expected}
    optional = unneeded if keep_heads else unneeded | of_heads
    matching.check(label, chosen, tensors, expected, optional)
    if kept < own and not new_classifier:
        _drop_background(tensors, expected)
        notes.append("class 0 of 1001 is background: dropped")
    anew = seed if unneeded or (aux == "init" and not keep_heads) else None
    variables = _fill(label, model, chosen, tensors, expected, anew)
    if new_classifier:
        notes.append(f"the classifier is new: {num_classes} classes, not {own}")
    elif kept not in (0, 1000):
        first = "; the first may be background, which TF-slim's have" if kept == 1001 else ""
        notes.append(f"the classifier has {kept} classes, not ImageNet's 1000{first}")
    if aux == "init":
        notes.append(f"new auxiliary heads: {', '.join(sites)}")
    return Imported(model, variables, chosen, tuple(notes))


def _tensors(
    source: str, chosen: Rules, given: Source, ema: bool, notes: list[str]
) -> tuple[str, Tensors]:
    """What to call the source in messages, and its tensors as float32 (or integers)."""
    if isinstance(given, Mapping):
        label, raw = "the mapping", torch_file.tensors(given)
        if source == "keras":
            raw = keras_file.by_rank(raw)
    else:
        label, raw = Path(given).name, files.read(given)
    tensors: Tensors = {}
    changed: set[str] = set()
    for name, value in training_state.settle(label, chosen, raw, ema, notes).items():
        if hasattr(value, "detach"):  # a torch tensor
            value = value.detach().cpu()
            value = value.float() if "bfloat16" in str(value.dtype) else value
        array = np.asarray(value)
        if array.dtype.kind not in "fiubV":
            raise errors.UserError(f"{name} in {label} is no tensor but a {type(value).__name__}")
        if array.dtype.kind in "fV" and array.dtype != np.float32:
            changed.add(array.dtype.name)
            array = array.astype(np.float32)
        tensors[name] = array
    if changed:
        notes.append(f"{label} has {', '.join(sorted(changed))} tensors: float32 from here on")
    return label, tensors


def _classes(tensors: Tensors, chosen: Rules) -> int:
    """Classes of the source's classifier; 0 where it has none."""
    bias = tensors.get(chosen.layout.dense_bias.format(chosen.layers["Logits"][0]))
    return len(bias) if bias is not None and bias.ndim == 1 else 0


def _create(
    chosen: Rules, sites: tuple[str, ...], classes: int, overrides: Mapping[str, Any]
) -> InceptionNetwork:
    options = {**chosen.options, **overrides}
    options["aux"] = {**options.get("aux", {}), "sites": sites}
    return models.create(chosen.model, num_classes=classes, **options)


def _drop_background(tensors: Tensors, expected: Iterable[slots.Slot]) -> None:
    """Removes class 0 of every classifier."""
    for slot in expected:
        if slot.role == "classifier":
            to_ours, to_theirs = slots.LAYOUTS[slot.layout]
            tensors[slot.theirs] = to_theirs(to_ours(tensors[slot.theirs])[..., 1:])


def _fill(
    label: str,
    model: InceptionNetwork,
    chosen: Rules,
    tensors: Tensors,
    expected: Iterable[slots.Slot],
    seed: int | None,
) -> Variables:
    """The variables from the tensors; with a `seed`, what no slot names is drawn."""
    shapes = _shapes(cast(Any, model))
    variables: Variables = {}
    if seed is not None:
        variables = jax.tree.map(np.asarray, model.init(jax.random.key(seed), _image(model)))
    wrong: dict[str, tuple[int, ...]] = {}
    for slot in expected:
        if slot.role == "counter":
            continue
        array, wanted = tensors[slot.theirs], slots.get(shapes, slot.path).shape
        if array.shape == (1, *wanted) and slot.layout == "same":
            array = array[0]  # as old ports keep vectors
        ours = slots.to_ours(slot, array) if array.dtype.kind == "f" else None
        if ours is None or ours.shape != wanted:
            wrong[slot.theirs] = array.shape
        elif slot.role == "folded":
            slots.put(variables, slot.path, slots.get(variables, slot.path) - ours)
        else:
            slots.put(variables, slot.path, ours)
    if wrong:
        raise matching.misshapen(label, chosen, wrong)
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a, order="C")), variables)


def _image(model: InceptionNetwork) -> jax.ShapeDtypeStruct:
    size = model.network.image_size
    return jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)


@functools.lru_cache(maxsize=8)
def _shapes(model: Any) -> Any:
    """Shapes of the network's variables at its own input size."""
    return jax.eval_shape(model.init, jax.random.key(0), _image(model))

"""Finished runs as members of an evaluation: opened, and asked for probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inception_jax import config as configs
from inception_jax import data, errors, train
from inception_jax.evaluate.predictions import Predictions
from inception_jax.train import mesh as meshes
from inception_jax.train import programs, result
from inception_jax.train.programs import Recipe
from inception_jax.train.step import normalize

CHECKPOINTS = ("last", "best")
WEIGHTS = ("raw", "ema")


@dataclasses.dataclass(frozen=True)
class Member:
    """A finished run, trained or imported.

    Attributes:
        folder: of the run.
        config: of the run, with `data` as the evaluation wants it.
        model: its network.
        variables: by kind: "raw", "ema".
        record: its result.json.
    """

    folder: Path
    config: ConfigDict
    model: Any
    variables: Mapping[str, Any]
    record: Mapping[str, Any]


def open_member(
    folder: Path,
    weights: str = "both",
    checkpoint: str = "last",
) -> Member:
    """The run in a folder.

    Args:
        folder: of a finished run.
        weights: "raw", "ema", or "both": the averages as well where the run kept them.
        checkpoint: "last", or "best" on validation (`train.keep_best`).

    Raises:
        UserError: no finished run, a damaged one, or one that did not keep what is asked for.
    """
    record = result.read(folder)
    averaged = bool(record["config"]["optim"]["ema_decay"])
    kinds = {"both": WEIGHTS if averaged else ("raw",)}.get(weights, (weights,))
    variables: dict[str, Any] = {}
    config, model = None, None
    for kind in kinds:
        config, model, variables[kind] = train.from_workdir(
            folder, ema=kind == "ema", best=checkpoint == "best"
        )
    assert config is not None
    return Member(folder, config, model, variables, record)


def probabilities(
    member: Member, mesh: Mesh, calls: int = 1
) -> Callable[[Any, np.ndarray], jax.Array]:
    """The compiled network: (variables, uint8[B, S, S, C]) -> f32[B, classes].

    A row whose logits are not all finite is NaN. B must be a multiple of the mesh's size.

    Args:
        member: whose network.
        mesh: over which a batch is split.
        calls: how many are expected.
    """
    return programs.kept(Recipe(_probabilities, member.model, member.config), mesh, calls=calls)


def _probabilities(model: nn.Module, config: ConfigDict, mesh: Mesh) -> Callable[..., jax.Array]:
    del config

    def step(variables: Any, images: jax.Array) -> jax.Array:
        outputs: Any = model.apply(variables, normalize(images), train=False)
        logits = outputs.logits.astype(jnp.float32)
        finite = jnp.isfinite(logits).all(axis=-1, keepdims=True)
        return jnp.where(finite, jax.nn.softmax(logits, axis=-1), jnp.nan)

    same, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(step, in_shardings=(same, split), out_shardings=same)


def predict(
    member: Member,
    dataset: data.Dataset,
    split: str,
    crops: int = 1,
    follow: Callable[[Iterable[Any], int], Iterable[Any]] = lambda batches, number: batches,
) -> dict[str, Predictions]:
    """What a member says about every example, by kind of its variables.

    Args:
        member: of `open_member`.
        dataset: with as many classes and channels as the member was trained on.
        split: "test", "validation" or "train".
        crops: 1, 12 or 144 views, over which probabilities are averaged.
        follow: wraps the batches, whose number it is told, to show how far they are.

    Raises:
        UserError: another number of classes or channels, or what `data.eval_batches` raises.
    """
    _check(member, dataset)
    views = data.crops_of(dataset, crops)
    size = max(1, member.config.data.eval_batch_size // views)
    config = configs.apply(member.config, {"data.eval_batch_size": size})
    mesh = meshes.of_all()
    number = -(-dataset.sizes[split] // size)
    calls = number * len(member.variables)
    step = probabilities(member, mesh, calls)
    placed = {
        kind: jax.device_put(variables, meshes.replicated(mesh))
        for kind, variables in member.variables.items()
    }
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in placed}
    facts: dict[str, list[np.ndarray]] = {"label": [], "excluded": []}
    batches = data.eval_batches(dataset, config, split, crops=crops)
    for batch in follow(batches, number):
        images = batch["image"].reshape(size * views, *batch["image"].shape[-3:])
        images = filled(images, mesh.size)
        results = {kind: step(variables, images) for kind, variables in placed.items()}
        for kind, values in results.items():
            each = np.asarray(values)[: size * views].reshape(size, views, -1)
            mean = each.mean(axis=1, dtype=np.float64).astype(np.float32)
            found[kind].append(mean[batch["mask"]])
        for name in facts.keys() & batch.keys():
            facts[name].append(batch[name][batch["mask"]])
    label = np.concatenate(facts["label"])
    excluded = np.concatenate(facts["excluded"]) if facts["excluded"] else None
    return {
        kind: Predictions(label, np.concatenate(parts), excluded) for kind, parts in found.items()
    }


def filled(images: np.ndarray, size: int) -> np.ndarray:
    """The images and black ones after them, up to a multiple of so many."""
    missing = -len(images) % size
    return np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else images


def _check(member: Member, dataset: data.Dataset) -> None:
    about = member.record["data"]
    for what, theirs, ours in (
        ("classes", about["num_classes"], dataset.num_classes),
        ("channels", about["channels"], dataset.channels),
    ):
        if theirs != ours:
            raise errors.UserError(
                f"{member.folder} was trained on {theirs} {what}, but data set {dataset.name!r} "
                f"has {ours}; choose another --data"
            )

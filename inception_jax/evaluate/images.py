"""What a network says about image files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inception_jax import errors
from inception_jax.data import decode, views
from inception_jax.evaluate import members
from inception_jax.evaluate.members import Member
from inception_jax.train import cache
from inception_jax.train import mesh as meshes

_BATCH = 32  # views at once


@dataclasses.dataclass(frozen=True)
class Guess:
    """A class that an image may be of: its number, its name ("" where unknown), how probable."""

    index: int
    name: str
    probability: float


def predict(
    member: Member, paths: Sequence[Path], *, top: int = 5, crops: int = 1
) -> list[list[Guess]]:
    """The most probable classes of each file, the most probable first.

    Args:
        member: with one kind of variables.
        paths: image files, of any size.
        top: how many classes, or all where there are fewer.
        crops: 1, 12 or 144 views, over which probabilities are averaged.

    Raises:
        UserError: a file that is no image, or that the network has no answer to.
    """
    cache.enable()
    how, channels = views.rule(member.config.data), member.record["data"]["channels"]
    names = member.record["data"]["class_names"]
    (variables,) = member.variables.values()
    mesh = meshes.of_all()
    step = members.probabilities(member, mesh)
    size = meshes.filled(_BATCH, mesh)
    guesses: list[list[Guess]] = []
    images = [decode.decode(path, channels, str(path)) for path in paths]
    for path, image in zip(paths, images, strict=True):
        seen = views.single(image, how)[None] if crops == 1 else views.crops(image, how, crops)
        parts = [seen[start : start + size] for start in range(0, len(seen), size)]
        padded = [members.filled(part, size if len(parts) > 1 else mesh.size) for part in parts]
        rows = np.concatenate([np.asarray(step(variables, part)) for part in padded])[: len(seen)]
        mean = rows.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise errors.UserError(f"the network's output for {path} is not finite")
        order = np.argsort(-mean, kind="stable")[:top]
        guesses.append([Guess(int(k), _name(names, int(k)), float(mean[k])) for k in order])
    return guesses


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else ""

"""Every intermediate result of a network beside another's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.models.network import InceptionNetwork
from inception_jax.weights import names


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one endpoint is from another framework's.

    Attributes:
        name: of the endpoint, ours.
        shape: of its activations.
        largest: absolute difference.
        relative: the largest difference over the largest absolute value of either.
    """

    name: str
    shape: tuple[int, ...]
    largest: float
    relative: float


def endpoints(model: InceptionNetwork, variables: Any, images: Any) -> dict[str, np.ndarray]:
    """The output of every layer of the stem and every block, then the logits, by name.

    Args:
        model: a network.
        variables: its variables.
        images: f32[N, H, W, C].
    """
    result: Any = model.apply(variables, images, mutable=["intermediates"])
    outputs, state = result
    found = dict(state["intermediates"]["endpoints"][0])
    return {name: np.asarray(x) for name, x in {**found, "Logits": outputs.logits}.items()}


def compare_endpoints(
    model: InceptionNetwork, variables: Any, other: Any, images: Any = None
) -> list[Difference]:
    """Every endpoint of a network beside another's, in the network's order.

    Args:
        model: a network.
        variables: its variables.
        other: activations by name, f32[N, H, W, C] or torch's [N, C, H, W], under our names or the
            source's (Keras's mixed0 to mixed10, torchvision's inception3a, maxpool1, ...), and
            "Logits"; or another (model, variables).
        images: f32[N, H, W, C] in the range that the network expects, those that gave `other`.
            None is random images, for another (model, variables).

    Raises:
        UserError: no images for given activations, a name that the network has not, or a shape
            that is not its.
    """
    if isinstance(other, Mapping) and images is None:
        raise errors.UserError("compare_endpoints needs the images that gave these activations")
    if images is None:
        size = model.network.image_size
        images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    ours = endpoints(model, variables, images)
    if isinstance(other, Mapping):
        activations: dict[str, Any] = dict(other)
    else:
        other_model, other_variables = other
        activations = dict(endpoints(other_model, other_variables, images))
    ours_of = names.ENDPOINTS.get(model.network_name, {})
    theirs = {ours_of.get(name, name): np.asarray(x) for name, x in activations.items()}
    for name in theirs:
        if name not in ours:
            raise errors.unknown("endpoint", name, ours)
    return [_difference(name, ours[name], theirs[name]) for name in ours if name in theirs]


def _difference(name: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    if theirs.shape != ours.shape and theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    if theirs.shape != ours.shape:
        raise errors.UserError(
            f"endpoint {name} is {list(ours.shape)}, the other's {list(theirs.shape)}"
        )
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    largest = float(np.abs(a - b).max())
    scale = float(max(np.abs(a).max(), np.abs(b).max()))
    return Difference(name, ours.shape, largest, largest / scale if scale else 0.0)

"""What a user may not expect of a network as it was asked for, a line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from inception_jax.models import geometry, plan
from inception_jax.models.options import SITES, Factorize, Options
from inception_jax.models.spec import Network

_GRAPH = ("stem_stride", "stem_pool", "grid17_kernel", "grid_reduction", "expanded")


def small_heads(
    network: Network, nodes: tuple[plan.Node, ...], sites: Iterable[str], image_size: int
) -> Iterator[str]:
    """Auxiliary heads whose grid is smaller than at the network's own image size."""
    grids = geometry.sizes(nodes, (image_size, image_size)) or {}
    published = geometry.sizes(nodes, (network.image_size, network.image_size)) or {}
    for site in sites:
        if site not in grids or site not in published:
            continue  # the image is too small for the network, which says so by itself
        grid, full = (_pooled(found[site][0]) for found in (grids, published))
        if grid < full:
            yield (
                f"the auxiliary head at {site} adapts to {image_size} px: its layer over the whole "
                f"grid sees {grid}x{grid} positions, not {full}x{full} as at {network.image_size}"
            )


def _pooled(side: int) -> int:
    """Side of the grid after a head's pooling 5x5/3."""
    return (side - min(5, side)) // 3 + 1


def idle_choices(name: str, network: Network, options: Options, channels: int) -> Iterator[str]:
    """Choices about the graph that leave it as it is without them.

    A site without a convolution that they apply to, or what the network does by itself.
    """
    own, nodes = Options(), plan.build(network, options, channels)
    reverted = {
        choice: dataclasses.replace(options, **{choice: getattr(own, choice)}) for choice in _GRAPH
    }
    for site in SITES:
        chosen = dataclasses.replace(options.factorization, **{site: Factorize()})
        reverted[f"factorization.{site}"] = dataclasses.replace(options, factorization=chosen)
    for choice, without in reverted.items():
        if without != options and plan.build(network, without, channels) == nodes:
            yield f"{choice} changes nothing in {name}"

"""What the cost claims about whole networks count, from their traced programs.

Every function returns the numbers of one claim, those that the paper prints first. Nothing is
trained or computed; all of them together take a few seconds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

from inception_jax import cost, models
from inception_jax.cost import Cost
from inception_jax.models import geometry, plan
from inception_jax.models.spec import Pool

Numbers = tuple[float, ...]


@functools.cache
def _count(name: str, size: int = 0, **overrides: Any) -> Cost:
    return cost.count(models.create(name, **overrides), size or models.image_size(name))


def _block(cost_of: Cost, name: str) -> int:
    """MACs of one block."""
    return sum(block.macs for block in cost_of.blocks() if block.name == name)


def grid_reduction() -> Numbers:
    """K6: Fig. 9's right beside its left, and beside the parallel blocks of Inception-v3.

    The first for the drawing, d = 35 and k = 320, on the even part of its grid: a convolution to
    2k channels before or after the pooling. The second is over both reductions of the network.
    """
    d, k = 34, 320
    before, after = d * d * k * 2 * k, (d // 2) ** 2 * k * 2 * k
    forms = (_count("inception_v3", grid_reduction="conv_pool"), _count("inception_v3"))
    right, ours = (sum(_block(form, f"Mixed_{name}") for name in ("6a", "7a")) for form in forms)
    return before / after, right / ours


def stem_7x7() -> Numbers:
    """K7: GMAC with one 7x7 and with the three 3x3 in its place; the paper's own graph last."""
    released = (_count("inception_v3", stem="conv7x7"), _count("inception_v3"))
    printed = (_count("inception_v2"), _count("inception_v3_paper"))
    return tuple(found.macs / 1e9 for found in (*released, *printed))


def against_googlenet() -> Numbers:
    """K8: MACs of Inception-v3 over GoogLeNet's and over BN-Inception's."""
    ours = _count("inception_v3").macs
    return ours / _count("googlenet").macs, ours / _count("bn_inception").macs


def depth() -> Numbers:
    """K9: layers on the longest path: released, Table 1, and the latter without its reductions."""
    released, printed = _count("inception_v3").depth, _count("inception_v3_paper").depth
    nodes = plan.build(*_network("inception_v3_paper"), 3)
    reductions = sum(
        max(sum(isinstance(s, plan.ConvUnit | plan.Fork) for s in branch) for branch in n.branches)
        for n in nodes
        if isinstance(n, plan.Branches) and n.name in ("Mixed_6a", "Mixed_7a")
    )
    return released, printed, printed - reductions


def grids() -> Numbers:
    """K10: side and channels of Table 1's rows from 35x35x288 on, in both graphs."""
    found: list[float] = []
    for name in ("inception_v3_paper", "inception_v3"):
        nodes = plan.build(*_network(name), 3)
        sides, channels = geometry.sizes(nodes, (299, 299)) or {}, 3
        after: dict[str, tuple[int, int]] = {}
        for node in nodes:
            channels = plan.out_channels(node, channels)
            after[node.name] = (sides[node.name][0], channels)
        for block in ("Mixed_5d", "Mixed_6e", "Mixed_7a", "Mixed_7c"):
            found.extend(after[block])
    return tuple(found)


def constant_compute() -> Numbers:
    """K11: largest relative distance from the cost at 299 px, and the share of pooling in that."""
    large = _count("inception_v3").macs
    others = (
        _count("inception_v3", 151, stem_stride=1).macs,
        _count("inception_v3", 79, stem_stride=1, stem_pool=False).macs,
    )
    pooled = sum(_pooling_additions("inception_v3", 299))
    return max(abs(other / large - 1) for other in others), pooled / large


def parameters() -> Numbers:
    """K12: million parameters without an auxiliary head: released, then Table 1."""
    return tuple(_count(name).params / 1e6 for name in ("inception_v3", "inception_v3_paper"))


def _network(name: str) -> tuple[Any, Any]:
    model = models.create(name)
    return model.network, model.options


def _pooling_additions(name: str, size: int) -> Iterator[int]:
    """Additions or comparisons of every pooling but the last, for one image."""
    nodes, channels = plan.build(*_network(name), 3), 3
    grid = (size, size)
    for node in nodes:
        chains = [(node.step,)] if isinstance(node, plan.Single) else node.branches
        for chain in chains:
            if isinstance(chain[0], Pool):
                out = geometry.step_size(chain[0], grid)
                yield math.prod(out) * channels * chain[0].size ** 2
        channels = plan.out_channels(node, channels)
        grid = (geometry.sizes(nodes, (size, size)) or {})[node.name]


MEASURES: dict[str, Callable[[], Numbers]] = {
    "grid_reduction": grid_reduction,
    "stem_7x7": stem_7x7,
    "against_googlenet": against_googlenet,
    "depth": depth,
    "grids": grids,
    "constant_compute": constant_compute,
    "parameters": parameters,
}

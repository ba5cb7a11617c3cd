"""The networks in plain PyTorch, layer by layer from the same plan; JAX is not imported.

For `inception_v3` that is torchvision's graph, without its auxiliary head.
"""

# torch is no dependency, so that a check without it cannot resolve it
# pyright: reportMissingImports=false

from __future__ import annotations

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from inception_jax import errors
from inception_jax.models import plan
from inception_jax.models.options import Options, read
from inception_jax.models.spec import Pool
from inception_jax.models.tables import NETWORKS

_LIMITS = (
    "the opponent in PyTorch has convolutions of odd kernels with batch norm, and poolings; "
    "choose a network and options of these, or leave out --against"
)


class Unit(nn.Module):
    """Convolution, batch norm and ReLU."""

    def __init__(self, unit: plan.ConvUnit, channels: int, options: Options) -> None:
        super().__init__()
        padding = tuple(k // 2 if unit.padding == "SAME" else 0 for k in unit.kernel)
        self.conv = nn.Conv2d(
            channels, unit.filters, unit.kernel, unit.strides, padding, bias=False
        )
        self.bn = nn.BatchNorm2d(
            unit.filters, eps=options.bn_epsilon, momentum=1 - options.bn_decay
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, filters, H', W']."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class Pooling(nn.Module):
    """Max or average pooling."""

    def __init__(self, pool: Pool, options: Options) -> None:
        super().__init__()
        self.pool, self.counted = pool, options.count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H', W']."""
        pool = self.pool
        border = pool.size // 2 if pool.padding == "SAME" else 0
        if pool.kind == "max":
            return functional.max_pool2d(x, pool.size, pool.stride, border)
        return functional.avg_pool2d(
            x, pool.size, pool.stride, border, count_include_pad=self.counted
        )


class Parallel(nn.Module):
    """Branches over one input, concatenated."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, sum of the branches' filters, H', W']."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def network(config: ConfigDict, channels: int, num_classes: int) -> nn.Module:
    """The network of a config's `model` group: images f32[N, C, H, W] to logits.

    "SAME" is the same border on both sides, as torch has it, also at stride 2.

    Raises:
        UserError: it has layers that are not written here.
    """
    overrides = config.model.to_dict()
    table, options = NETWORKS[overrides.pop("name")], read(overrides)
    if not table.batch_norm or options.aux.sites or options.strided_padding == "torch":
        raise errors.UserError(_LIMITS)
    nodes = plan.build(table, options, channels)
    parts: list[nn.Module] = []
    for node in nodes:
        parts.append(_node(node, channels, options))
        channels = plan.out_channels(node, channels)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(options.dropout)]
    return nn.Sequential(*parts, *head, nn.Linear(channels, num_classes))


def _odd(number: int) -> bool:
    return number % 2 == 1


def _node(node: plan.Node, channels: int, options: Options) -> nn.Module:
    if isinstance(node, plan.Single):
        return _chain((node.step,), channels, options)
    return Parallel([_chain(branch, channels, options) for branch in node.branches])


def _chain(steps: tuple[plan.Step, ...], channels: int, options: Options) -> nn.Module:
    parts: list[nn.Module] = []
    for step in steps:
        if isinstance(step, Pool):
            parts.append(Pooling(step, options))
            continue
        if isinstance(step, plan.Fork):
            parts.append(Parallel([Unit(unit, channels, options) for unit in step.units]))
            channels = sum(unit.filters for unit in step.units)
            continue
        if not isinstance(step, plan.ConvUnit) or step.depthwise or not all(map(_odd, step.kernel)):
            raise errors.UserError(_LIMITS)
        parts.append(Unit(step, channels, options))
        channels = step.filters
    return nn.Sequential(*parts)

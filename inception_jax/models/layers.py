"""The Flax modules that a plan is made of: the conv-BN-ReLU unit, blocks and auxiliary heads."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inception_jax import ops
from inception_jax.models import geometry, initial, plan
from inception_jax.models.options import Options
from inception_jax.models.spec import AuxSpec, Norm, Pool


@dataclasses.dataclass(frozen=True)
class Style:
    """What every layer of a network shares."""

    options: Options
    batch_norm: bool = True

    @property
    def dtype(self) -> Any:
        """Of activations."""
        return jnp.dtype(self.options.dtype)


class ConvUnit(nn.Module):
    """Convolution, batch norm and ReLU: f32[N, H, W, C] -> f32[N, H', W', filters].

    Parameters `kernel` HWIO, and `scale` and `bias` of the batch norm; without batch norm `bias` is
    the convolution's, if it has one. Running statistics are `mean` and `var` in `batch_stats`.
    """

    unit: plan.ConvUnit
    style: Style
    init_sd: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Applies the unit; `train` normalises with the batch's own statistics."""
        unit, options = self.unit, self.style.options
        shape = (*unit.kernel, 1 if unit.depthwise else x.shape[-1], unit.filters)
        kernel = self.param("kernel", initial.kernel(options, self.init_sd), shape)
        padding = [
            geometry.pads(size, k, s, unit.padding, unit.late)
            for size, k, s in zip(x.shape[1:3], unit.kernel, unit.strides, strict=True)
        ]
        dtype = self.style.dtype
        x = ops.conv(
            x.astype(dtype),
            kernel.astype(dtype),
            strides=unit.strides,
            padding=padding,
            lowering=options.ops,
        )
        if unit.norm != "none":
            bias = self.param("bias", initial.zeros, (unit.filters,))
            if self.style.batch_norm and unit.norm == "batch":
                return self._normalise(x, bias, train)
            x = x + bias.astype(dtype).reshape(1, 1, 1, -1)
        return nn.relu(x) if unit.relu else x

    def _normalise(self, x: jax.Array, bias: jax.Array, train: bool) -> jax.Array:
        options, features = self.style.options, (self.unit.filters,)
        scale = self.param("scale", initial.ones, features) if options.bn_scale else None
        mean = self.variable("batch_stats", "mean", initial.zeros, None, features)
        var = self.variable("batch_stats", "var", initial.ones, None, features)
        shared = {"epsilon": options.bn_epsilon, "relu": self.unit.relu}
        if not train:
            return ops.batch_norm_eval(x, scale, bias, mean.value, var.value, **shared)
        groups = _groups(x.shape[0], options.bn_group)
        y, batch_mean, batch_var = ops.batch_norm_train(
            x, scale, bias, groups=groups, lowering=options.ops, **shared
        )
        if not self.is_initializing() and self.is_mutable_collection("batch_stats"):
            keep = options.bn_decay
            mean.value = keep * mean.value + (1 - keep) * batch_mean
            var.value = keep * var.value + (1 - keep) * batch_var
        return y


def _groups(batch: int, group: int) -> int:
    """Number of batch-norm groups; a batch that does not divide is one group."""
    return batch // group if group and batch % group == 0 else 1


def pool(step: Pool, x: jax.Array, options: Options) -> jax.Array:
    """Max or average pooling of f32[N, H, W, C]."""
    padding = [geometry.pads(size, step.size, step.stride, step.padding) for size in x.shape[1:3]]
    window, strides = (step.size, step.size), (step.stride, step.stride)
    if step.kind == "max":
        return ops.max_pool(x, window, strides, padding, lowering=options.ops)
    return ops.avg_pool(
        x,
        window,
        strides,
        padding,
        count_include_pad=options.count_include_pad,
        lowering=options.ops,
    )


def local_response_norm(step: Norm, x: jax.Array) -> jax.Array:
    """Response x / (1 + alpha / size * sum of squares over `size` channels) ** beta (GoogLeNet)."""
    half = step.size // 2
    squares = jnp.pad(jnp.square(x), ((0, 0), (0, 0), (0, 0), (half, half)))
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(step.size))
    return x / (1.0 + step.alpha / step.size * total) ** step.beta


def apply_step(step: plan.Step, x: jax.Array, style: Style, train: bool) -> jax.Array:
    """One step of a plan, inside the Flax module that owns its parameters."""
    if isinstance(step, Pool):
        return pool(step, x, style.options)
    if isinstance(step, Norm):
        return local_response_norm(step, x)
    if isinstance(step, plan.Fork):
        outs = [ConvUnit(unit, style, name=unit.name)(x, train) for unit in step.units]
        return jnp.concatenate(outs, axis=-1)
    return ConvUnit(step, style, name=step.name)(x, train)


class InceptionBlock(nn.Module):
    """Branches over one input, concatenated over channels."""

    block: plan.Branches
    style: Style

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """f32[N, H, W, C] -> f32[N, H', W', sum of the branches' filters]."""
        outs = []
        for branch in self.block.branches:
            y = x
            for step in branch:
                y = apply_step(step, y, self.style, train)
            outs.append(y)
        return jnp.concatenate(outs, axis=-1)


class Dense(nn.Module):
    """A linear layer in float32: [N, features in] -> f32[N, features]."""

    features: int
    options: Options
    sd: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies `kernel` f32[in, out] and `bias`."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", initial.kernel(self.options, self.sd), shape)
        bias = self.param("bias", initial.zeros, (self.features,))
        return x.astype(jnp.float32) @ kernel + bias.reshape(1, -1)


class AuxHead(nn.Module):
    """An auxiliary classifier (Fig. 8): f32[N, H, W, C] -> f32[N, classes].

    Average pooling 5x5/3, a 1x1 convolution, one layer over the whole remaining grid, a linear
    classifier. On a grid under 17 (an input below 299 px) the pooling and the kernel shrink to it;
    a head made for a larger grid sees a small one with zeros around it.
    """

    spec: AuxSpec
    style: Style
    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits in float32."""
        options = self.style.options
        aux, width = options.aux, options.width
        style = dataclasses.replace(self.style, batch_norm=self.style.batch_norm and aux.batch_norm)
        reduce, features = (
            max(1, round(f * width)) for f in (self.spec.reduce, self.spec.features)
        )
        x = _aux_pool(x, aux.pool)
        x = ConvUnit(plan.ConvUnit("conv0", (1, 1), reduce), style, name="conv0")(x, train)
        x = _padded_to(x, self._trained_grid())
        if self.spec.dense:
            x = nn.relu(Dense(features, options, name="fc1")(x.reshape(x.shape[0], -1)))
        else:
            kernel = geometry.aux_kernel((x.shape[1], x.shape[2]))
            norm = "batch" if aux.dense_batch_norm else "bias"
            unit = plan.ConvUnit("conv1", kernel, features, padding="VALID", norm=norm)
            whole = ConvUnit(unit, style, init_sd=aux.conv_sd, name="conv1")
            x = whole(x, train).mean(axis=(1, 2))
        x = nn.Dropout(aux.dropout, deterministic=not train)(x.astype(jnp.float32))
        sd = 0.0 if self.spec.dense else aux.classifier_sd
        return Dense(self.num_classes, options, sd, name="fc")(x)

    def _trained_grid(self) -> int:
        """Side of the grid that the layer over the whole grid was made for; 0 before it is made."""
        params = self.variables.get("params", {})
        if self.spec.dense:
            rows = params["fc1"]["kernel"].shape[0] if "fc1" in params else 0
            return math.isqrt(rows // params["conv0"]["kernel"].shape[-1]) if rows else 0
        return params["conv1"]["kernel"].shape[0] if "conv1" in params else 0


def _padded_to(x: jax.Array, side: int) -> jax.Array:
    """Zeros around f32[N, H, W, C] where its sides are below `side`."""
    missing = [max(0, side - n) for n in x.shape[1:3]]
    if not any(missing):
        return x
    return jnp.pad(x, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))


def _aux_pool(x: jax.Array, kind: str) -> jax.Array:
    """The pooling of an auxiliary head: 5x5 at stride 3, or torch's adaptive one to 4x4."""
    if kind == "5x5":
        window = (min(5, x.shape[1]), min(5, x.shape[2]))
        return ops.avg_pool(
            x, window, (3, 3), [(0, 0), (0, 0)], count_include_pad=False, lowering="xla"
        )
    rows, columns = ([(i * n // 4, -(-(i + 1) * n // 4)) for i in range(4)] for n in x.shape[1:3])
    cells = [[x[:, a:b, c:d].mean(axis=(1, 2)) for c, d in columns] for a, b in rows]
    return jnp.stack([jnp.stack(row, axis=1) for row in cells], axis=1)

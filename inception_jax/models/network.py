"""The one Flax module that runs every table."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.core import Tracer

from inception_jax import errors
from inception_jax.models import geometry, initial, plan, spec
from inception_jax.models.layers import AuxHead, Dense, InceptionBlock, Style, apply_step
from inception_jax.models.options import Options


class Outputs(NamedTuple):
    """What a network returns, always.

    Attributes:
        logits: f32[N, classes].
        aux: f32[N, classes] of each auxiliary head, lower heads first; empty where there is none.
    """

    logits: jax.Array
    aux: tuple[jax.Array, ...]


class InceptionNetwork(nn.Module):
    """A network table with its options: images f32[N, H, W, C] in [-1, 1] to `Outputs`.

    Where the collection "intermediates" is mutable, its `endpoints[0]` has every layer of the stem
    and every block's output by name.
    """

    network_name: str
    network: spec.Network
    options: Options
    num_classes: int = 1000

    def init(self, rngs: Any, images: Any, train: bool = False, **kwargs: Any) -> Any:
        """Initial variables, as `nn.Module.init`, without running the network.

        Args:
            rngs: a key, or keys by name.
            images: [N, H, W, C], or a `jax.ShapeDtypeStruct` of one.
            train: as in `__call__`.
            **kwargs: as in `nn.Module.init`.
        """
        # traced in its shortest form: neither lowering nor rematerialisation changes a variable,
        # and a rematerialised block would draw its kernels and use them in one step
        plain = dataclasses.replace(self.options, ops="xla", remat=False)
        short = self.clone(options=plain)
        make = functools.partial(super(InceptionNetwork, short).init, train=train, **kwargs)
        shape = jax.ShapeDtypeStruct(jnp.shape(images), jnp.float32)
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((rngs, images))):
            return make(rngs, jnp.zeros(shape.shape, shape.dtype))
        return jax.tree.map(jnp.asarray, initial.variables(make, rngs, shape))

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> Outputs:
        """Logits of a batch.

        Args:
            images: f32[N, H, W, C] in [-1, 1].
            train: batch statistics and dropout (needs the rng "dropout") instead of running
                statistics.

        Raises:
            UserError: images too small for the network; names the smallest size that works.
        """
        options = self.options
        nodes = plan.build(self.network, options, images.shape[-1])
        geometry.check_size(self.network_name, nodes, (images.shape[1], images.shape[2]))
        style = Style(options, self.network.batch_norm)
        block_module = (
            nn.remat(InceptionBlock, static_argnums=(2,)) if options.remat else InceptionBlock
        )
        x, aux, endpoints = images, [], {}
        for node in nodes:
            if isinstance(node, plan.Single):
                x = apply_step(node.step, x, style, train)
            else:
                x = block_module(node, style, name=node.name)(x, train)
            endpoints[node.name] = x
            if node.name in options.aux.sites:
                head = AuxHead(
                    self.network.aux, style, self.num_classes, name=f"AuxLogits_{node.name}"
                )
                aux.append(head(x, train))
        self.sow("intermediates", "endpoints", endpoints)
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        x = nn.Dropout(options.dropout, deterministic=not train)(x)
        logits = Dense(self.num_classes, options, options.head_sd, name="Logits")(x)
        return Outputs(logits, tuple(aux))


def check_aux_sites(network: spec.Network, options: Options) -> None:
    """Raises UsageError where an auxiliary head is asked for at a block that is not there."""
    blocks = [e.name for e in plan.entries(network, options) if isinstance(e, spec.Block)]
    for site in options.aux.sites:
        if site not in blocks:
            raise errors.unknown("block for an auxiliary head", site, blocks)

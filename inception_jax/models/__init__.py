"""Networks with swappable factorizations, as Flax modules.

    model = models.create("inception_v3", factorization={"grid35": "stacked_3x3"})
    variables = model.init(key, images)
    logits, aux = model.apply(variables, images, train=False)

`names`, `strategies`, `register` and `image_size` load no JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inception_jax import errors
from inception_jax.models.factorization import STRATEGIES, register
from inception_jax.models.options import SITES, Options, read
from inception_jax.models.tables import NETWORKS

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from inception_jax.models.fold import fold_batch_norm
    from inception_jax.models.network import InceptionNetwork, Outputs

__all__ = [
    "SITES", "InceptionNetwork", "Options", "Outputs",
    "aux_sites", "create", "fold_batch_norm", "from_config", "idle_choices", "image_size",
    "names", "notes", "register", "strategies",
]  # fmt: skip


def names() -> list[str]:
    """Every network that `create` knows."""
    return list(NETWORKS)


def strategies() -> list[str]:
    """Every factorization strategy."""
    return list(STRATEGIES)


def image_size(name: str) -> int:
    """Side of the square image that the network was published with, px."""
    return _table(name).image_size


def aux_sites(name: str) -> tuple[str, ...]:
    """Blocks that carry an auxiliary head where the network is trained as published."""
    return _table(name).aux_sites


def _table(name: str) -> Any:
    if name not in NETWORKS:
        raise errors.unknown("network", name, NETWORKS)
    return NETWORKS[name]


def create(name: str, *, num_classes: int = 1000, **overrides: Any) -> InceptionNetwork:
    """A network as a Flax module.

    Args:
        name: one of `names()`.
        num_classes: width of the classifier and of every auxiliary head.
        **overrides: fields of `Options`; `factorization` and `aux` take mappings, a site's value
            may be just a strategy's name, `aux` just the blocks that carry a head.

    Returns:
        A module whose `apply(variables, images, train=...)` returns `Outputs(logits, aux)`.

    Raises:
        UsageError: a name, option or choice that does not exist; names the nearest.
        UserError: options that contradict each other.
    """
    import jax

    from inception_jax.models import network, plan

    if num_classes < 1:
        raise errors.UsageError(f"num_classes must be at least 1, got {num_classes!r}")
    table, options = _table(name), read(overrides)
    network.check_aux_sites(table, options)
    if options.dtype == "float64" and not jax.config.values["jax_enable_x64"]:
        raise errors.UserError("model.dtype float64 needs JAX_ENABLE_X64=1; JAX has float32 else")
    plan.build(
        table, options, channels=3
    )  # what cannot be built is said here, not at the first batch
    return network.InceptionNetwork(name, table, options, num_classes)


def from_config(model: ConfigDict, num_classes: int) -> InceptionNetwork:
    """The network of a config's `model` group."""
    overrides = model.to_dict()
    return create(overrides.pop("name"), num_classes=num_classes, **overrides)


def notes(model: InceptionNetwork, image_size: int, channels: int = 3) -> list[str]:
    """What an input size changes in a network, a line each: auxiliary heads on a small grid."""
    from inception_jax.models import plan, remarks

    network, options = getattr(model, "network", None), getattr(model, "options", None)
    if network is None or options is None:
        return []  # another Linen module
    nodes = plan.build(network, options, channels)
    return list(remarks.small_heads(network, nodes, options.aux.sites, image_size))


def idle_choices(model: InceptionNetwork, channels: int = 3) -> list[str]:
    """Choices about the graph that change nothing in a network, a line each."""
    from inception_jax.models import remarks

    return list(remarks.idle_choices(model.network_name, model.network, model.options, channels))


def __getattr__(name: str) -> Any:
    if name in ("InceptionNetwork", "Outputs"):
        from inception_jax.models import network

        return getattr(network, name)
    if name == "fold_batch_norm":
        from inception_jax.models import fold

        return fold.fold_batch_norm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

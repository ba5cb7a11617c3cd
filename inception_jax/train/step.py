"""One training step and one evaluation step, compiled over a mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from inception_jax.data.colour import ORDERS
from inception_jax.ops import rules
from inception_jax.train import colour, losses, optimizer
from inception_jax.train import mesh as meshes
from inception_jax.train.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


def normalize(images: jax.Array) -> jax.Array:
    """uint8 [0, 255] as float32 [-1, 1], on the device; other types are taken to be in range."""
    if images.dtype != jnp.uint8:
        return images
    return images.astype(jnp.float32) / 127.5 - 1.0


def seen(batch: Batch, config: ConfigDict) -> jax.Array:
    """What the network sees of a training batch: f32[B, H, W, C] in [-1, 1], distorted."""
    orders = ORDERS[config.data.colour]
    return colour.distort(normalize(batch["image"]), batch.get("colour"), orders)


def ema_decay(optim: ConfigDict, updates: jax.Array) -> jax.Array:
    """Of the averages at update t, with TensorFlow's warm-up: min(limit, (1 + t) / (10 + t))."""
    t = updates.astype(jnp.float32)
    limit = jnp.float32(optim.ema_decay)
    return jnp.minimum(limit, (1.0 + t) / (10.0 + t)) if optim.ema_warmup else limit


def average(state: TrainState, optim: ConfigDict) -> TrainState:
    """The state with its averages moved towards its parameters and batch statistics."""
    if state.ema is None:
        return state
    share = 1.0 - ema_decay(optim, state.step)
    ema: Any = optax.incremental_update(state.variables, state.ema, share)
    if not optim.ema_batch_stats:
        ema = {**ema, "batch_stats": jax.tree.map(jnp.copy, state.batch_stats)}
    return state.replace(ema=ema)


def _loss(
    params: Any,
    batch_stats: Any,
    batch: Batch,
    key: jax.Array,
    model: nn.Module,
    config: ConfigDict,
) -> tuple[jax.Array, tuple[Any, Metrics]]:
    """Mean loss of a batch, with the new batch statistics and what is counted along."""
    outputs, updated = model.apply(
        {"params": params, "batch_stats": batch_stats},
        seen(batch, config),
        train=True,
        rngs={"dropout": key},
        mutable=["batch_stats"],
    )
    labels = batch["label"]
    each = losses.with_auxiliary(
        outputs.logits,  # pyright: ignore[reportAttributeAccessIssue]
        outputs.aux,  # pyright: ignore[reportAttributeAccessIssue]
        labels,
        smoothing=config.loss.label_smoothing,
        weight=config.loss.aux_weight,
    )
    rank = losses.rank(outputs.logits, labels)  # pyright: ignore[reportAttributeAccessIssue]
    mean = each.mean()
    counted = {
        "loss": mean,
        "top1": (rank < 1).mean(dtype=jnp.float32),
        "top5": (rank < losses.TOP).mean(dtype=jnp.float32),
    }
    return mean, (updated.get("batch_stats", {}), counted)


def micro_batches(batch: Batch, count: int, group: int, mesh: Mesh | None) -> Batch:
    """[B, ...] as [count, B / count, ...]: every count-th run of `group` examples.

    So every device has its share of every micro-batch, and the examples that batch norm takes
    together are the same for any count.
    """
    sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(None, meshes.AXIS))

    def cut(values: jax.Array) -> jax.Array:
        shape = values.shape[1:]
        parts = values.reshape(-1, count, group, *shape).swapaxes(0, 1).reshape(count, -1, *shape)
        return parts if sharding is None else jax.lax.with_sharding_constraint(parts, sharding)

    return jax.tree.map(cut, batch)


def gradients(
    state: TrainState, batch: Batch, model: nn.Module, config: ConfigDict, mesh: Mesh | None
) -> tuple[Any, Any, Metrics]:
    """Gradient, batch statistics and metrics, over `train.accumulate` micro-batches in turn.

    The statistics move once a step, by the average over the micro-batches, as they would if all
    examples were seen at once in batch-norm groups.
    """
    key = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
    gradient = jax.grad(_loss, has_aux=True)
    count = config.train.accumulate
    if count == 1:
        grads, (stats, metrics) = gradient(
            state.params, state.batch_stats, batch, key, model, config
        )
        return grads, stats, metrics

    def micro(total: Any, part: tuple[jax.Array, Batch]) -> tuple[Any, Metrics]:
        index, examples = part
        key_of_part = jax.random.fold_in(key, index)
        grads, (stats, metrics) = gradient(
            state.params, state.batch_stats, examples, key_of_part, model, config
        )
        return jax.tree.map(jnp.add, total, (grads, stats)), metrics

    start = jax.tree.map(jnp.zeros_like, (state.params, state.batch_stats))
    group = config.model.bn_group or 1
    parts = (jnp.arange(count), micro_batches(batch, count, group, mesh))
    total, metrics = jax.lax.scan(micro, start, parts)
    grads, stats = jax.tree.map(lambda leaf: leaf / count, total)
    return grads, stats, jax.tree.map(lambda values: values.mean(axis=0), metrics)


def _parted(tree: Any) -> tuple[list[jax.Array], list[jax.Array]]:
    """Kernels, and biases and scales as vectors."""
    leaves = jax.tree.leaves(tree)
    return [x for x in leaves if x.ndim > 1], [x.ravel() for x in leaves if x.ndim < 2]


def _squares(kernels: list[jax.Array]) -> jax.Array:
    """Sum of squares of each: [kernels]; as products, for which XLA compiles nothing."""
    rows = [jnp.pad(kernel.ravel(), (0, -kernel.size % 8)).reshape(-1, 8) for kernel in kernels]
    products = jnp.stack([jnp.dot(row.T, row, precision="highest") for row in rows])
    return jnp.trace(products, axis1=1, axis2=2)


def _norm(tree: Any) -> jax.Array:
    """Square root of the sum of squares over all leaves."""
    kernels, vectors = _parted(tree)
    # hundreds of small leaves are one program
    rest = jnp.square(jnp.concatenate(vectors)).sum() if vectors else 0.0
    return jnp.sqrt(_squares(kernels).sum() + rest)


def _finite(tree: Any) -> jax.Array:
    """Whether all of a leaf is finite: bool[leaves]."""
    kernels, vectors = _parted(tree)
    parts = [jnp.isfinite(_squares(kernels))]
    if vectors:
        ends = np.cumsum([vector.size for vector in vectors]) - 1
        wrong = jnp.cumsum(~jnp.isfinite(jnp.concatenate(vectors)))
        parts.append(jnp.diff(wrong[ends], prepend=0) == 0)
    small = [leaf.ndim < 2 for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate(parts)[np.argsort(np.argsort(small, kind="stable"))]


def _either(
    good: jax.Array,
    go_on: Callable[[TrainState], Any],
    stay: Callable[[TrainState], Any],
    state: TrainState,
) -> Any:
    """`go_on(state)` where `good`, else `stay(state)`.

    On a CPU as a branch, since selecting every leaf anew is a fifth of the compilation; on an
    accelerator selected, since a branch makes the host wait for `good` in every step.
    """
    if rules.on_cpu("auto"):
        return jax.lax.cond(good, go_on, stay, state)
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), go_on(state), stay(state))


def update(
    state: TrainState,
    learned: tuple[Any, Any, Metrics],
    learning_rate: jax.Array,
    config: ConfigDict,
) -> tuple[TrainState, Metrics]:
    """The next state, from what `gradients` gives, and the metrics with the norms beside them.

    A loss or gradient that is not finite changes nothing, nor does any step after it, so that the
    host, which sees it some steps later, still has the state that led to it.
    """
    grads, stats, metrics = learned
    optim = optimizer.create(config.optim, lambda _: learning_rate)
    finite, grad_norm = _finite(grads), _norm(grads)
    good = finite.all() & jnp.isfinite(metrics["loss"]) & (state.step >= 0)

    def go_on(state: TrainState) -> tuple[TrainState, jax.Array]:
        updates, opt_state = optim.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        after = state.replace(
            step=state.step + 1, params=params, batch_stats=stats, opt_state=opt_state
        )
        return average(after, config.optim), _norm(updates)

    def stay(state: TrainState) -> tuple[TrainState, jax.Array]:
        stopped = jnp.minimum(state.step, -1 - state.step)
        return state.replace(step=stopped), jnp.zeros_like(grad_norm)

    after, update_norm = _either(good, go_on, stay, state)
    metrics |= {
        "grad_norm": grad_norm,
        "update_norm": update_norm,
        "param_norm": _norm(after.params),
        "learning_rate": learning_rate,
        "leaf_finite": finite,
    }
    return after, metrics


def train_step(
    model: nn.Module, config: ConfigDict, mesh: Mesh
) -> Callable[[TrainState, Batch, jax.typing.ArrayLike], tuple[TrainState, Metrics]]:
    """The compiled step: (state, batch, learning rate) -> (next state, metrics).

    The state is given away. The batch is {"image": uint8[B, H, W, C] (or float in [-1, 1]),
    "label": int32[B]}, and where colours are distorted "colour" of `data.colour.draw`, split over
    the mesh. Neither the seed nor the schedule is part of the program, so all runs of an arm share
    it in the compilation cache.

    The metrics are means over the batch: loss (with auxiliary heads and smoothing, without weight
    decay), top1, top5; and grad_norm (before clipping), update_norm, param_norm (after the
    update), learning_rate, and leaf_finite bool[parameters], which says whose gradient is finite.
    Where one is not, nothing is updated: update_norm is 0 and param_norm the state's own.
    """

    def step(
        state: TrainState, batch: Batch, learning_rate: jax.Array
    ) -> tuple[TrainState, Metrics]:
        return update(state, gradients(state, batch, model, config, mesh), learning_rate, config)

    same, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(
        step, in_shardings=(same, split, same), out_shardings=(same, same), donate_argnums=(0,)
    )


def pmap_step(
    model: nn.Module, config: ConfigDict, mesh: Mesh
) -> Callable[[TrainState, Batch, jax.typing.ArrayLike], tuple[TrainState, Metrics]]:
    """The same step written for `jax.pmap`: every device on its own, gradients averaged.

    It exists to be compared with `train_step`, which does not say where anything is computed.
    They agree where a device's share holds whole batch-norm groups (`model.bn_group`) and nothing
    is dropped out. State and metrics go in and come out as single copies, on the host.
    """

    def step(
        state: TrainState, batch: Batch, learning_rate: jax.Array
    ) -> tuple[TrainState, Metrics]:
        learned = gradients(state, batch, model, config, None)
        return update(state, jax.lax.pmean(learned, meshes.AXIS), learning_rate, config)

    mapped = jax.pmap(
        step, meshes.AXIS, in_axes=(None, 0, None), out_axes=None, devices=list(mesh.devices.flat)
    )

    def whole(
        state: TrainState, batch: Batch, learning_rate: jax.typing.ArrayLike
    ) -> tuple[TrainState, Metrics]:
        shares = {
            name: np.asarray(values).reshape(mesh.size, -1, *values.shape[1:])
            for name, values in batch.items()
        }
        return mapped(jax.device_get(state), shares, jnp.asarray(learning_rate))

    return whole


def eval_step(model: nn.Module, mesh: Mesh) -> Callable[[Any, Batch], Metrics]:
    """The compiled evaluation of a batch: (variables, batch) -> one value an example.

    Returns:
        A function whose result has loss f32[B] (cross-entropy without smoothing), rank int32[B]
        of the true class, prediction int32[B] and probability f32[B] of the true class, and
        all of the batch but the images as given; the same on every device.
    """

    def evaluate(variables: Any, batch: Batch) -> Metrics:
        outputs = model.apply(variables, normalize(batch["image"]), train=False)
        logits = outputs.logits.astype(jnp.float32)  # pyright: ignore[reportAttributeAccessIssue]
        loss = losses.cross_entropy(logits, batch["label"])
        return {
            "loss": loss,
            "rank": losses.rank(logits, batch["label"]),
            "prediction": jnp.argmax(logits, axis=-1).astype(jnp.int32),
            "probability": jnp.exp(-loss),
            **{name: values for name, values in batch.items() if name != "image"},
        }

    same, split = meshes.replicated(mesh), meshes.split(mesh)
    return jax.jit(evaluate, in_shardings=(same, split), out_shardings=same)


def evaluation(model: nn.Module, config: ConfigDict, mesh: Mesh) -> Callable[[Any, Batch], Metrics]:
    """`eval_step`, as a recipe of `train.programs` makes it; it reads no config."""
    del config
    return eval_step(model, mesh)

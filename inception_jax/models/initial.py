"""Initial values of parameters, without compiling a program for every shape.

Drawing each kernel with `jax.random.truncated_normal` compiles one program a shape: 28 s for
Inception-v3 on two cores, more than its first training step. Here every kernel is cut from blocks
of one fixed size, which compile once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer, eval_jaxpr

from inception_jax.models.options import Options

_BLOCK = 16384
# sd of a unit normal cut at two: He's rule is about the sd after truncation
_TRUNCATED_SD = 0.87962566103423978


def kernel(options: Options, sd: float = 0.0) -> Any:
    """The initializer `(key, shape) -> f32[shape]` of a kernel, HWIO or [in, out].

    Args:
        options: `init` "he" is sd sqrt(2 / fan in) after truncation, TF-slim's; "normal" is
            `init_sd` before it, as `tf.truncated_normal` has it.
        sd: a layer's own deviation before truncation, which wins over `init`; 0 is none.
    """

    def draw(key: jax.Array, shape: Sequence[int]) -> jax.Array:
        deviation = sd or options.init_sd
        if not sd and options.init == "he":
            deviation = math.sqrt(2.0 / math.prod(shape[:-1])) / _TRUNCATED_SD
        if isinstance(key, Tracer):
            return _traced(key, np.float32(deviation), tuple(shape))
        return jnp.asarray(_drawn(key, np.float32(deviation), tuple(shape)))

    return draw


def zeros(key: Any, shape: Sequence[int]) -> jax.Array:
    """f32 zeros; from NumPy, which compiles nothing."""
    del key
    return jnp.asarray(np.zeros(shape, np.float32))


def ones(key: Any, shape: Sequence[int]) -> jax.Array:
    """f32 ones; from NumPy, which compiles nothing."""
    del key
    return jnp.asarray(np.ones(shape, np.float32))


@jax.jit
def _block(key: jax.Array, index: jax.Array) -> jax.Array:
    return jax.random.truncated_normal(jax.random.fold_in(key, index), -2.0, 2.0, (_BLOCK,))


@functools.partial(jax.jit, static_argnums=2)
def _traced(key: jax.Array, scale: jax.typing.ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """A normal cut at two of its deviations, f32[shape]."""
    size = math.prod(shape)
    blocks = jax.lax.map(lambda i: _block(key, i), jnp.arange(-(-size // _BLOCK)))
    return blocks.reshape(-1)[:size].reshape(shape) * scale


def _drawn(key: jax.Array, scale: np.float32, shape: tuple[int, ...]) -> np.ndarray:
    """The same values, bit for bit, outside of a program."""
    size = math.prod(shape)
    blocks = [np.asarray(_block(key, np.int32(i))) for i in range(-(-size // _BLOCK))]
    return np.concatenate(blocks)[:size].reshape(shape) * scale


def variables(init: Callable[[Any, Any], Any], key: Any, images: Any) -> Any:
    """`init(key, images)` of a network, kernel by kernel: nothing else of it is computed.

    Args:
        init: a module's, with its other arguments bound.
        key: a key, or keys by name.
        images: as `jax.ShapeDtypeStruct`.

    Returns:
        The variables as NumPy arrays.
    """
    closed, shapes = jax.make_jaxpr(init, return_shape=True)(key, images)
    program = closed.jaxpr
    given = dict(zip(program.constvars, closed.consts, strict=True))
    given |= zip(program.invars, jax.tree.leaves(key), strict=False)  # the images are not there
    needed = {id(var) for var in program.outvars}
    steps = []
    for step in reversed(program.eqns):
        if any(id(var) in needed for var in step.outvars):
            needed |= {id(var) for var in step.invars}
            steps.append(step)

    def read(var: Any) -> Any:
        return var.val if hasattr(var, "val") else given[var]

    with jax.ensure_compile_time_eval():  # also within a program that holds the key
        for step in reversed(steps):
            if step.params.get("name") == "_traced":
                leaf_key, scale = map(read, step.invars)
                found = [_drawn(leaf_key, scale, step.outvars[0].aval.shape)]
            else:
                unknown = [var for var in step.invars if not hasattr(var, "val")]
                alone = program.replace(
                    constvars=[],
                    invars=unknown,
                    outvars=step.outvars,
                    eqns=[step],
                    debug_info=program.debug_info.with_unknown_names(),
                )
                found = eval_jaxpr(alone, (), *map(read, unknown))
            given |= zip(step.outvars, found, strict=True)
    leaves = [np.asarray(read(var)) for var in program.outvars]
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

"""Reads a traced program: its products, and how its first output depends on the image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jax.extend.core import Jaxpr, Literal


@dataclasses.dataclass(frozen=True)
class Product:
    """One convolution or matrix product of the program.

    Attributes:
        module: path of the Flax module that it belongs to, without the root.
        output: shape of the result without the batch dimension.
        macs: multiply-adds.
    """

    module: str
    output: tuple[int, ...]
    macs: int


@dataclasses.dataclass(frozen=True)
class Reach:
    """How a value depends on the image, spatial numbers as (height, width).

    Attributes:
        depth: products on the longest path from the image to it.
        field: side of the image region that one of its positions sees, px.
        jump: pixels between neighbouring positions.
    """

    depth: int = 0
    field: tuple[int, int] = (1, 1)
    jump: tuple[int, int] = (1, 1)

    def over(self, window: Sequence[int], strides: Sequence[int], products: int = 0) -> Reach:
        """After a window over its positions; `products` is 1 where it multiplies."""
        grown = zip(self.field, window, self.jump, strict=True)
        field = tuple(f + (k - 1) * j for f, k, j in grown)
        jump = tuple(j * s for j, s in zip(self.jump, strides, strict=True))
        return Reach(self.depth + products, (field[0], field[1]), (jump[0], jump[1]))

    @staticmethod
    def merge(values: Sequence[Reach]) -> Reach:
        """What depends on several values sees as far as any of them."""
        fields, jumps = [v.field for v in values], [v.jump for v in values]
        return Reach(
            max(v.depth for v in values),
            (max(f[0] for f in fields), max(f[1] for f in fields)),
            (max(j[0] for j in jumps), max(j[1] for j in jumps)),
        )


def read(jaxpr: Jaxpr, images: int) -> tuple[list[Product], Reach]:
    """Every product of the program in its order, and the reach of its first output.

    A mean over the grid leaves the field as it was: that of one position of the last convolution.

    Args:
        jaxpr: a traced forward pass.
        images: index of the images among its arguments.
    """
    found: list[Product] = []
    reach: dict[Any, Reach] = {jaxpr.invars[images]: Reach()}
    _walk(jaxpr, reach, found, "")
    first = jaxpr.outvars[0]
    return found, Reach() if isinstance(first, Literal) else reach.get(first, Reach())


def _walk(jaxpr: Jaxpr, reach: dict[Any, Reach], found: list[Product], prefix: str) -> None:
    for eqn in jaxpr.eqns:
        stack = "/".join(filter(None, (prefix, str(eqn.source_info.name_stack))))
        seen = [reach[v] for v in eqn.invars if not isinstance(v, Literal) and v in reach]
        inner = _inner(eqn)
        if inner is not None:
            _enter(eqn, inner, reach, found, stack)
            continue
        if not seen:
            continue
        merged = Reach.merge(seen)
        after = _after(eqn, merged)
        if after.depth > merged.depth:
            shape: tuple[int, ...] = getattr(eqn.outvars[0].aval, "shape", ())
            found.append(Product(_module(stack), shape[1:], _macs(eqn)))
        for out in eqn.outvars:
            reach[out] = after


def _inner(eqn: Any) -> Jaxpr | None:
    """The program inside a call (jit, custom gradients, remat), if the equation is one."""
    if eqn.primitive.name.startswith("reduce"):
        return None  # its program is the reducer
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if inner is not None:
            return getattr(inner, "jaxpr", inner)
    return None


def _enter(
    eqn: Any, inner: Jaxpr, reach: dict[Any, Reach], found: list[Product], stack: str
) -> None:
    for outside, inside in zip(eqn.invars[-len(inner.invars) :], inner.invars, strict=False):
        if not isinstance(outside, Literal) and outside in reach:
            reach[inside] = reach[outside]
    _walk(inner, reach, found, stack)
    for outside, inside in zip(eqn.outvars, inner.outvars, strict=False):
        if not isinstance(inside, Literal) and inside in reach:
            reach[outside] = reach[inside]


def _after(eqn: Any, before: Reach) -> Reach:
    name, params = eqn.primitive.name, eqn.params
    if name == "conv_general_dilated":
        shape, numbers = eqn.invars[1].aval.shape, params["dimension_numbers"]
        window = [shape[axis] for axis in numbers.rhs_spec[2:]]
        return before.over(window, params["window_strides"], products=1)
    if name == "dot_general":
        return dataclasses.replace(before, depth=before.depth + 1)
    if name.startswith("reduce_window"):
        return before.over(params["window_dimensions"][1:3], params["window_strides"][1:3])
    return before


def _macs(eqn: Any) -> int:
    out = math.prod(eqn.outvars[0].aval.shape)
    if eqn.primitive.name == "conv_general_dilated":
        shape = eqn.invars[1].aval.shape
        return out * math.prod(shape) // shape[eqn.params["dimension_numbers"].rhs_spec[0]]
    (contracted, _), _ = eqn.params["dimension_numbers"]
    return out * math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)


def _module(stack: str) -> str:
    """`Network/Mixed_5b/branch0/branch0._normalise` -> `Mixed_5b/branch0`."""
    parts = [part for part in stack.split("/") if part and "." not in part and "(" not in part]
    return "/".join(parts[1:])

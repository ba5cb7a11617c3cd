"""Factorization strategies: one n x n convolution as a chain of smaller ones (paper, section 3).

A strategy maps a kernel to the kernels of its factors; a new one is a function and a line in
`STRATEGIES`, or a call of `register`. Filters, strides and padding of the factors follow from one
rule each:

* filters: the last factor has the convolution's own, the ones before it the site's `mid`;
* stride: in each direction the last factor that extends in it carries the stride, so the chain
  without activations computes exactly the n x n convolution of the composed kernel;
* padding: each factor keeps its own grid ("SAME"), or none has any ("VALID").
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from inception_jax import errors

Kernels = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Factor:
    """One convolution of a chain: kernel and strides as (height, width)."""

    kernel: tuple[int, int]
    filters: int
    strides: tuple[int, int]


def direct(n: int) -> Kernels:
    """The n x n convolution itself."""
    return ((n, n),)


def stacked_3x3(n: int) -> Kernels:
    """(n - 1) / 2 convolutions of 3 x 3 (section 3.1, Fig. 1): 28 % cheaper for n = 5."""
    if n % 2 == 0:
        raise errors.UserError(
            f"stacked_3x3 cannot replace a {n}x{n} convolution: it needs an odd kernel of 3 or more"
        )
    return ((3, 3),) * ((n - 1) // 2)


def asymmetric(n: int) -> Kernels:
    """1 x n, then n x 1 (section 3.2, Fig. 3): saves 1 - 2/n."""
    return ((1, n), (n, 1))


def stacked_2x2(n: int) -> Kernels:
    """n - 1 convolutions of 2 x 2 (section 3.2): 11 % cheaper for n = 3."""
    return ((2, 2),) * (n - 1)


STRATEGIES: dict[str, Callable[[int], Kernels]] = {
    "direct": direct,
    "stacked_3x3": stacked_3x3,
    "asymmetric": asymmetric,
    "stacked_2x2": stacked_2x2,
}
OWN = dict(STRATEGIES)
"""The strategies of this file, whose sources are known."""


def register(name: str, kernels: Callable[[int], Kernels]) -> None:
    """Adds a strategy of one's own, for this process: any site of any network then takes its name.

    Trials of a study are processes of their own; for them a strategy stands in this file.

    Args:
        name: a new name, or one that was registered with the same function.
        kernels: maps the side n of a square kernel to the (height, width) of each factor; raises
            `UserError` where it does not apply to n.

    Raises:
        UsageError: the name is taken or is no identifier, or for some n of 3, 5 and 7 the factors
            do not cover n x n: heights and widths, less one each, have to add up to n - 1.
    """
    if not name.isidentifier():
        raise errors.UsageError(f"a strategy's name is an identifier, got {name!r}")
    if STRATEGIES.get(name, kernels) is not kernels:
        raise errors.UsageError(f"there is a strategy {name!r} already; choose another name")
    for n in (3, 5, 7):
        try:
            chain = kernels(n)
        except errors.UserError:
            continue
        covered = tuple(1 + sum(k[axis] - 1 for k in chain) for axis in (0, 1))
        if covered != (n, n):
            raise errors.UsageError(
                f"strategy {name!r} covers {covered[0]}x{covered[1]} in place of {n}x{n}: {chain}"
            )
    STRATEGIES[name] = kernels


def factorize(
    strategy: str, kernel: int, filters: int, *, mid: int, stride: int = 1, tall_first: bool = False
) -> tuple[Factor, ...]:
    """The chain of convolutions that replaces a kernel x kernel convolution.

    Args:
        strategy: a name of `STRATEGIES`.
        kernel: side of the square kernel, at least 2.
        filters: output channels of the convolution.
        mid: output channels of every factor but the last.
        stride: in both directions.
        tall_first: reverse the chain, so that an asymmetric one begins with n x 1.

    Raises:
        UsageError: no such strategy.
        UserError: the strategy does not apply to this kernel.
    """
    if strategy not in STRATEGIES:
        raise errors.unknown("factorization strategy", strategy, STRATEGIES)
    kernels = STRATEGIES[strategy](kernel)
    if tall_first:
        kernels = kernels[::-1]
    last_tall = max(i for i, k in enumerate(kernels) if k[0] > 1)
    last_wide = max(i for i, k in enumerate(kernels) if k[1] > 1)
    return tuple(
        Factor(
            kernel=k,
            filters=filters if i == len(kernels) - 1 else mid,
            strides=(stride if i == last_tall else 1, stride if i == last_wide else 1),
        )
        for i, k in enumerate(kernels)
    )


def geometric_mid(in_filters: int, out_filters: int) -> int:
    """Filters between two factors when each widens by the same ratio (section 3.1)."""
    return max(1, round(math.sqrt(in_filters * out_filters)))

"""What a plan does to the grid: padding, the size after every layer, the smallest legal input.

Pure Python, so that it is answered without JAX.
"""

from __future__ import annotations

from inception_jax import errors
from inception_jax.models.plan import ConvUnit, Fork, Node, Single, Step
from inception_jax.models.spec import Norm, Padding, Pool


def pads(
    size: int, kernel: int, stride: int, padding: Padding, late: bool = False
) -> tuple[int, int]:
    """Padding before and after `size` pixels; see `spec.Padding`."""
    if padding == "VALID":
        return (0, 0)
    if padding == "SYMMETRIC":
        return ((kernel - 1) // 2, kernel // 2)
    if padding == "CEIL":
        starts = max(-(-(size - kernel) // stride), 0)
        return (0, max(starts * stride + kernel - size, 0))
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    low, high = total // 2, total - total // 2
    return (high, low) if late else (low, high)


def step_size(step: Step, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after a step; not positive where the input is too small."""
    if isinstance(step, Norm):
        return size
    if isinstance(step, Fork):
        return step_size(step.units[0], size)
    if isinstance(step, Pool):
        step = ConvUnit("", (step.size, step.size), 0, (step.stride, step.stride), step.padding)

    def one(axis: int) -> int:
        k, s = step.kernel[axis], step.strides[axis]
        total = size[axis] + sum(pads(size[axis], k, s, step.padding, step.late))
        return (total - k) // s + 1

    return one(0), one(1)


def sizes(nodes: tuple[Node, ...], size: tuple[int, int]) -> dict[str, tuple[int, int]] | None:
    """Height and width after every node, by name; None where the input is too small."""
    result: dict[str, tuple[int, int]] = {}
    for node in nodes:
        chains = [(node.step,)] if isinstance(node, Single) else node.branches
        ends = {size}
        for chain in chains:
            end = size
            for step in chain:
                end = step_size(step, end)
                if min(end) < 1:
                    return None
            ends = ends | {end} if chain is not chains[0] else {end}
        if len(ends) != 1:
            return None
        size = ends.pop()
        result[node.name] = size
    return result


def smallest_size(nodes: tuple[Node, ...], start: int = 1) -> int:
    """Side of the smallest square input from `start` on that every layer can process, px."""
    return next(s for s in range(start, 4096) if sizes(nodes, (s, s)) is not None)


def check_size(name: str, nodes: tuple[Node, ...], size: tuple[int, int]) -> None:
    """Raises UserError, naming the next size that works, where `size` does not.

    It is too small, or with torch's padding the branches of a reduction leave different grids.
    """
    if sizes(nodes, size) is None:
        least = smallest_size(nodes)
        which = "smallest"
        if max(size) >= least:
            least, which = smallest_size(nodes, max(size)), "next"
        raise errors.UserError(
            f"{name} cannot take an image of {size[0]}x{size[1]} px; "
            f"the {which} that works is {least}x{least}"
        )


def aux_kernel(pooled: tuple[int, int]) -> tuple[int, int]:
    """Kernel of an auxiliary head's second convolution: 5x5, or all of a smaller pooled grid."""
    return min(5, pooled[0]), min(5, pooled[1])

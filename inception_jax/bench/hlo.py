"""What each program of a compiled step computes: its kind, its products and the bytes it moves."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

PRODUCT, CONVOLUTION, EXCHANGE, OTHER = "products", "convolutions", "exchange", "loops"
KINDS = (PRODUCT, CONVOLUTION, OTHER, EXCHANGE)
_KINDS = {
    "dot": PRODUCT,
    "convolution": CONVOLUTION,
    "all-reduce": EXCHANGE,
    "all-gather": EXCHANGE,
    "reduce-scatter": EXCHANGE,
    "all-to-all": EXCHANGE,
    "collective-permute": EXCHANGE,
}
# What runs nothing itself, or only other programs.
_IDLE = {
    "bitcast", "call", "conditional", "constant", "get-tuple-element", "parameter", "tuple",
    "while", "partition-id", "after-all",
}  # fmt: skip
_BYTES = {"pred": 1, "bf16": 2, "c64": 8} | {
    f"{kind}{bits}": bits // 8 for kind in "sfu" for bits in (8, 16, 32, 64)
}
_ARRAY = re.compile(r"\b(pred|bf16|c64|[sfu](?:8|16|32|64))\[([\d,]*)\]")
_LINE = re.compile(r"^\s+(?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([a-z][a-z0-9\-]*)\((.*?)\)(.*)$")
_HEAD = re.compile(r"^(?:ENTRY )?%(\S+) \(.*\{$")
_CALLS = re.compile(r"\bcalls=%([\w.\-]+)")
_FUSED = re.compile(r"\bfusion\(.*\bcalls=%([\w.\-]+)")
_PART = re.compile(r'op_name="([^"]*)"')
# of a reduction, a scatter or a sort; a call's are run as they are
_APPLIED = re.compile(r"^(?!.* call\().*\bto_apply=%([\w.\-]+)", re.MULTILINE)


class Program(NamedTuple):
    """One program that a step runs.

    Attributes:
        kind: PRODUCT, CONVOLUTION, EXCHANGE (between devices) or OTHER.
        flops: of a product or convolution, without those on zeros between strided pixels.
        moved: bytes of its results and of each argument once, of a slice as many as it takes.
        part: the operation of the source that it comes from; "" where XLA does not say.
    """

    kind: str
    flops: float
    moved: int
    part: str


def programs(text: str) -> dict[str, Program]:
    """Name -> program, of a compiled module's text (`jax.stages.Compiled.as_text`)."""
    bodies = {name: list(_parsed(lines)) for name, lines in _computations(text)}
    inner = set(_FUSED.findall(text)) | set(_APPLIED.findall(text))
    return {
        line.name: _program(line, bodies)
        for computation, lines in bodies.items()
        if computation not in inner
        for line in lines
        if line.op not in _IDLE
    }


class _Line(NamedTuple):
    """An instruction: its name, the shapes of its result and its arguments, and what is left."""

    name: str
    shape: str
    op: str
    names: list[str]
    operands: list[str]
    rest: str


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", []
    for line in text.splitlines():
        if head := _HEAD.match(line):
            name, lines = head[1], []
        elif line.startswith("}") and name:
            yield name, lines
            name = ""
        elif name:
            lines.append(line)


def _parsed(lines: list[str]) -> Iterator[_Line]:
    found = [match.groups() for match in map(_LINE.match, lines) if match]
    shapes = {name: shape for name, shape, *_ in found}
    for name, shape, op, operands, rest in found:
        names = re.findall(r"%([\w.\-]+)", operands)
        yield _Line(name, shape, op, names, [shapes.get(one, "") for one in names], rest)


def _program(line: _Line, bodies: dict[str, list[_Line]]) -> Program:
    """An instruction's; small products are fused, and their fusion counts as one."""
    fused = _CALLS.search(line.rest) if line.op == "fusion" else None
    within = bodies[fused[1]] if fused else [line]
    kinds = [_KINDS[one.op] for one in within if one.op in _KINDS]
    flops = sum(_FLOPS[one.op](one) for one in within if one.op in _FLOPS)
    part = _PART.search(line.rest)
    return Program(kinds[0] if kinds else OTHER, flops, _moved(line), part[1] if part else "")


def _moved(line: _Line) -> int:
    if line.op in ("slice", "dynamic-slice"):
        return 2 * _size(line.shape)
    if line.op == "dynamic-update-slice":  # in place: the update is read, and written
        return 2 * _size(line.operands[1])
    once = dict(zip(line.names, line.operands, strict=True)).values()
    return _size(line.shape) + sum(map(_size, once))


def _dot(line: _Line) -> float:
    """Two for each entry of the result and of the axes that are summed over."""
    summed = _numbers(re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.rest))
    first = _sides(line.operands[0])
    return 2.0 * math.prod(_sides(line.shape)) * math.prod(first[axis] for axis in summed)


def _convolution(line: _Line) -> float:
    """Two for each entry of the result and of its kernel; zeros put between pixels are left out."""
    kernel, labels = _sides(line.operands[1]), re.search(r"dim_labels=\w+_(\w+)->", line.rest)
    filters = kernel[labels[1].index("o")] if labels else 1
    zeros = math.prod(_numbers(re.search(r"lhs_dilate=([\dx]+)", line.rest)))
    return 2.0 * math.prod(_sides(line.shape)) * math.prod(kernel) / filters / zeros


_FLOPS: dict[str, Callable[[_Line], float]] = {"dot": _dot, "convolution": _convolution}


def _numbers(found: re.Match[str] | None) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", found[1])] if found else []


def _sides(shape: str) -> list[int]:
    """The sides of an array's shape, as `f32[2,3]{1,0}` has them."""
    return _numbers(re.search(r"\[([\d,]*)\]", shape))


def _size(shape: str) -> int:
    """Bytes of an array or of a tuple of them."""
    return sum(
        _BYTES[kind] * math.prod(int(side) for side in sides.split(",") if side)
        for kind, sides in _ARRAY.findall(shape)
    )

"""A step's profile: what its programs need, against the cost table, and how times are summed."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from inception_jax import cost, errors, models
from inception_jax.bench import hlo, ours, peak, profile, setting
from inception_jax.cli import main

PLAIN = {"model.ops": "xla", "model.width": 0.25, "data.batch_size": 4, "parallel.devices": 1}


def compiled(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return hlo.programs(jax.jit(function).lower(*arguments).compile().as_text() or "")


def total(programs, field):
    return sum(getattr(program, field) for program in programs.values())


def test_a_product_by_hand():
    (program,) = compiled(jnp.dot, (20, 30), (30, 40)).values()
    numbers = 20 * 30 + 30 * 40 + 20 * 40
    assert program[:3] == (hlo.PRODUCT, 2 * 20 * 30 * 40, 4 * numbers)


FILTER_GRADIENT = """
ENTRY %main (x: f32[4,9,9,2], y: f32[2,4,4,8]) -> f32[4,3,3,8] {
  %x = f32[4,9,9,2]{3,2,1,0} parameter(0)
  %y = f32[2,4,4,8]{3,2,1,0} parameter(1)
  ROOT %c = f32[4,3,3,8]{3,2,1,0} convolution(%x, %y), window={size=4x4 rhs_dilate=2x2}, \
dim_labels=b01f_i01o->b01f
}
"""


def test_the_filter_gradient_of_a_strided_convolution():
    """The cotangent is its kernel, put apart: nothing of it is a zero."""
    (program,) = hlo.programs(FILTER_GRADIENT).values()
    assert program.flops == 2 * (4 * 3 * 3 * 8) * (2 * 4 * 4)
    assert program.kind == hlo.CONVOLUTION


def test_an_argument_counts_once_and_a_slice_as_what_it_takes():
    body = """
ENTRY %main (x: f32[1000,10]) -> f32[1,10] {
  %x = f32[1000,10]{1,0} parameter(0)
  %square = f32[1000,10]{1,0} multiply(%x, %x)
  ROOT %row = f32[1,10]{1,0} slice(%square), slice={[3:4], [0:10]}
}
"""
    found = hlo.programs(body)
    assert found["square"].moved == 4 * 2 * 10_000
    assert found["row"].moved == 4 * 2 * 10


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_its_gradients_need_the_same(stride):
    def forward(x, kernel):
        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), "VALID", dimension_numbers=names
        )

    size = (9 - 3) // stride + 1
    one = 2 * 2 * size * size * 8 * 3 * 3 * 4
    shapes = (2, 9, 9, 4), (3, 3, 4, 8)
    assert total(compiled(forward, *shapes), "flops") == one
    filters = jax.grad(lambda kernel, x: jnp.sum(forward(x, kernel) ** 2))
    assert total(compiled(filters, *shapes[::-1]), "flops") == 2 * one
    # that of the image is counted over the whole image, also where no window was: at its edge
    images = jax.grad(lambda x, kernel: jnp.sum(forward(x, kernel) ** 2))
    border = 2 * 2 * 9 * 9 * 4 * 3 * 3 * 8 / stride**2
    assert total(compiled(images, *shapes), "flops") == one + border


@pytest.mark.parametrize("measure", ["train", "eval"])
def test_a_network_needs_what_the_cost_table_says(measure):
    chosen = setting.create(measure, "inception_small", PLAIN)
    program = ours.create(chosen, keep=False)
    found = hlo.programs(program.function.lower(*program.arguments).compile().as_text())
    macs = cost.count(models.from_config(chosen.config.model, 10), 28, 1).macs
    if measure == "eval":
        assert total(found, "flops") == 4 * 2.0 * macs
    else:  # the images themselves need no gradient
        assert total(found, "flops") == pytest.approx(4 * peak.training_flops(macs), rel=0.05)


def test_times_are_summed_by_kind_and_divided_by_the_runs():
    programs = {
        "dot.1": hlo.Program(hlo.PRODUCT, 100.0, 10, "a"),
        "dot.2": hlo.Program(hlo.PRODUCT, 50.0, 10, "b"),
        "copy": hlo.Program(hlo.OTHER, 0.0, 40, ""),
    }
    events = {"dot.1": (4, 2.0), "dot.2": (4, 6.0), "copy": (8, 1.0), "other": (1, 9.0)}
    kinds, single = profile.summed(programs, events, 4, profile.Peaks(flops=100.0, moved=10.0))
    assert kinds[hlo.PRODUCT] == profile.Row(2, 2.0, 150.0, 20, bound=1.0 + 1.0)
    assert kinds[hlo.OTHER] == profile.Row(2, 0.25, 0.0, 80, bound=8.0)
    assert [name for name, _ in single] == ["dot.2 b", "dot.1 a", "copy"]


def test_another_platform_than_a_cpu_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(errors.UserError, match="train CONFIG --profile"):
        profile.measure(setting.create("train", "inception_small", {}), 1)


@pytest.mark.slow
def test_a_real_profile(capsys):
    tiny = ("--network=inception_small", "--config.model.width=0.1", "--config.data.image_size=16")
    assert main(["bench", "profile", *tiny, "--steps=2", "--format=json"]) == 0
    content = json.loads(capsys.readouterr().out)
    kinds = content["kinds"].values()
    assert sum(row["programs"] for row in kinds) > 300
    assert 0 < sum(row["seconds"] for row in kinds) <= 1.05 * content["traced_step_seconds"]
    assert max(len(line) for line in profile.text(content).splitlines()) <= 80

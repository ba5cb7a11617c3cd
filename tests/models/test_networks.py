"""The networks: published shapes, every factorization at every site, what a choice changes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax import cost, errors, models
from inception_jax.models import geometry, plan
from inception_jax.models.network import Outputs
from inception_jax.models.options import read
from inception_jax.models.tables import NETWORKS


def shapes(name: str, size: int, channels: int = 3, **overrides):
    model = models.create(name, num_classes=7, **overrides)
    image = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    return jax.eval_shape(lambda k, x: model.init_with_output(k, x), jax.random.key(0), image)


def grids(name: str, size: int, channels: int = 3, **overrides) -> dict[str, tuple[int, int]]:
    found = geometry.sizes(plan.build(NETWORKS[name], read(overrides), channels), (size, size))
    assert found is not None
    return found


def forward(model, variables, images, **kwargs) -> Outputs:
    return model.apply(variables, images, **kwargs)


def small(**overrides):
    model = models.create("inception_small", num_classes=5, width=0.25, dropout=0.0, **overrides)
    images = jax.random.uniform(jax.random.key(1), (4, 16, 16, 1), minval=-1.0)
    return model, model.init(jax.random.key(0), images), images


# Table 2.1 of the released graph (TF-slim's endpoint names), 299 px.
GRIDS = {
    "Conv2d_1a_3x3": 149, "Conv2d_2a_3x3": 147, "Conv2d_2b_3x3": 147, "MaxPool_3a_3x3": 73,
    "Conv2d_3b_1x1": 73, "Conv2d_4a_3x3": 71, "MaxPool_5a_3x3": 35, "Mixed_5b": 35, "Mixed_5c": 35,
    "Mixed_5d": 35, "Mixed_6a": 17, "Mixed_6b": 17, "Mixed_6c": 17, "Mixed_6d": 17, "Mixed_6e": 17,
    "Mixed_7a": 8, "Mixed_7b": 8, "Mixed_7c": 8,
}  # fmt: skip
CHANNELS = {
    "Mixed_5b": 256, "Mixed_5c": 288, "Mixed_5d": 288, "Mixed_6a": 768, "Mixed_6b": 768,
    "Mixed_6e": 768, "Mixed_7a": 1280, "Mixed_7b": 2048, "Mixed_7c": 2048,
}  # fmt: skip


def test_inception_v3_endpoints():
    assert {k: v[0] for k, v in grids("inception_v3", 299).items()} == GRIDS
    nodes = plan.build(NETWORKS["inception_v3"], read({}), 3)
    channels, seen = 3, {}
    for node in nodes:
        channels = seen[node.name] = plan.out_channels(node, channels)
    assert {name: seen[name] for name in CHANNELS} == CHANNELS


def test_plan_sizes_are_the_shapes_of_the_traced_network():
    model = models.create("inception_v3")
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    _, variables = jax.eval_shape(
        lambda k, x: model.init_with_output(k, x, mutable=True), jax.random.key(0), image
    )
    traced = {k: v.shape[1] for k, v in variables["intermediates"]["endpoints"][0].items()}
    assert traced == GRIDS


@pytest.mark.parametrize(
    "strategy",
    [s if s == "stacked_3x3" else pytest.param(s, marks=pytest.mark.slow)
     for s in models.strategies()],
)  # fmt: skip
def test_gradients_reach_every_parameter(strategy):
    sites = dict.fromkeys(models.SITES, strategy)
    model, variables, images = small(factorization=sites, aux=("Mixed_6b",))

    def loss(params):
        out, _ = model.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(2)},
        )  # fmt: skip
        return jnp.sum(out.logits**2) + jnp.sum(out.aux[0] ** 2)

    grads = jax.jit(jax.grad(loss))(variables["params"])
    dead = [
        jax.tree_util.keystr(path)
        for path, g in jax.tree_util.tree_flatten_with_path(grads)[0]
        if not (np.isfinite(g).all() and np.any(np.asarray(g) != 0))
    ]
    assert dead == []


@pytest.mark.parametrize("kind", ["parallel", "pool_conv", "conv_pool"])
def test_grid_reductions_have_one_output(kind):
    out, variables = shapes("inception_small", 28, grid_reduction=kind)
    assert out.logits.shape == (2, 7)
    assert variables["params"]["Logits"]["kernel"].shape[0] == 272


def test_plain_bank_costs_what_the_expanded_one_does():
    _, wide = shapes("inception_v3", 299)
    _, plain = shapes("inception_v3", 299, expanded=False)
    bank = wide["params"]["Mixed_7b"]
    expanded = sum(bank[f"branch1_conv1{c}"]["kernel"].size for c in "ab")
    assert plain["params"]["Mixed_7b"]["branch1_conv1"]["kernel"].size == expanded


def test_linear_between_factors_differs_only_there():
    outs = {}
    for activation in ("relu", "linear"):
        choice = {"strategy": "stacked_3x3", "activation": activation, "min_kernel": 5}
        model, variables, images = small(factorization={"grid35": choice})
        outs[activation] = (variables, forward(model, variables, images).logits)
    for a, b in zip(
        jax.tree.leaves(outs["relu"][0]), jax.tree.leaves(outs["linear"][0]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(outs["relu"][1], outs["linear"][1])


def test_arms_share_initial_values_where_shapes_match():
    _, a, _ = small()
    _, b, _ = small(factorization={"grid35": "stacked_3x3"})
    kernel = ("Mixed_6a", "branch0_conv0", "kernel")
    for tree in (a, b):
        assert tree["params"]["Mixed_5b"]["branch0_conv0"]["kernel"].shape == (1, 1, 8, 4)
    np.testing.assert_array_equal(
        a["params"][kernel[0]][kernel[1]]["kernel"], b["params"][kernel[0]][kernel[1]]["kernel"]
    )


def test_min_kernel_leaves_smaller_kernels_alone():
    _, variables = shapes(
        "inception_small", 28,
        factorization={"grid35": {"strategy": "asymmetric", "min_kernel": 5}},
    )  # fmt: skip
    block = variables["params"]["Mixed_5b"]
    assert block["branch1_conv1"]["kernel"].shape[:2] == (3, 3)
    assert block["branch2_conv1a"]["kernel"].shape[:2] == (1, 5)
    assert block["branch2_conv1b"]["kernel"].shape[:2] == (5, 1)


def test_kernel_takes_the_place_of_what_is_chosen():
    choice = {"strategy": "direct", "min_kernel": 5, "kernel": 3}
    _, variables = shapes("inception_small", 28, factorization={"grid35": choice})
    block = variables["params"]["Mixed_5b"]
    assert block["branch2_conv1"]["kernel"].shape[:2] == (3, 3)  # was 5x5
    own = models.create("inception_v3")
    swapped = models.create("inception_v3", factorization={"grid35": choice})
    before, after = (cost.count(model, image_size=299).params for model in (own, swapped))
    # Mixed_5b to 5d: 48 -> 64 channels, 25 weights become 9
    assert before - after == 3 * 48 * 64 * (25 - 9)


def test_train_and_eval_both_return_outputs():
    model, variables, images = small(aux=("Mixed_6b",))
    evaluated = forward(model, variables, images, train=False)
    assert evaluated.logits.shape == (4, 5)
    assert [a.shape for a in evaluated.aux] == [(4, 5)]
    trained, updates = model.apply(
        variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
    )
    assert trained.logits.shape == (4, 5)
    moved = jax.tree.map(
        lambda a, b: bool(jnp.any(a != b)), variables["batch_stats"], updates["batch_stats"]
    )
    assert all(jax.tree.leaves(moved))


def test_init_inside_jit_gives_the_same_values():
    model, variables, images = small()
    jitted = jax.jit(model.init)(jax.random.key(0), images)
    for a, b in zip(jax.tree.leaves(variables), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_he_initial_deviation():
    model = models.create("inception_v3")
    kernel = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32))[
        "params"
    ]["Mixed_6a"]["branch0_conv0"]["kernel"]
    assert float(kernel.std()) == pytest.approx((2 / (9 * 288)) ** 0.5, rel=0.01)
    assert float(jnp.abs(kernel).max()) < 2.3 * float(kernel.std())


def test_image_too_small_names_the_smallest_that_works():
    model = models.create("inception_v3")
    with pytest.raises(errors.UserError, match="60x60 px; the smallest that works is 75x75"):
        model.init(jax.random.key(0), jnp.zeros((1, 60, 60, 3)))
    out, _ = shapes("inception_v3", 75)
    assert out.logits.shape == (2, 7)


@pytest.mark.parametrize("size", [8, 24, 28, 48, 96])
def test_small_network_takes_8_to_96_px(size):
    assert shapes("inception_small", size, channels=1)[0].logits.shape == (2, 7)


def test_small_network_has_equal_grids_at_constant_compute():
    same = [
        grids("inception_small", px, 1, **options)["Mixed_5b"]
        for px, options in (
            (96, {"stem_stride": 2}),
            (48, {"stem_stride": 1}),
            (24, {"stem_stride": 1, "stem_pool": False}),
        )
    ]
    assert same == [(24, 24)] * 3


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("inception_v9", {}, "did you mean 'inception_v3'"),
        ("inception_v3", {"widht": 2}, "did you mean 'width'"),
        ("inception_v3", {"aux": ("Mixed_6f",)}, "unknown block for an auxiliary head 'Mixed_6f'"),
        ("inception_v3", {"stem": "conv5x5"}, "did you mean 'conv7x7'"),
        ("inception_v3", {"grid_reduction": "paralel"}, "did you mean 'parallel'"),
        ("inception_v3", {"factorization": {"grid35": {"activation": "tanh"}}}, "activation"),
        (
            "inception_v3",
            {"factorization": {"grid36": "direct"}},
            "did you mean 'factorization.grid35'",
        ),
    ],
)
def test_wrong_choices_name_the_nearest(name, overrides, message):
    with pytest.raises(errors.UsageError, match=message):
        models.create(name, **overrides)


@pytest.mark.slow
def test_bfloat16_keeps_float32_parameters_and_logits():
    model, variables, images = small(dtype="bfloat16")
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert forward(model, variables, images).logits.dtype == jnp.float32


@pytest.mark.slow
def test_remat_changes_nothing_but_memory():
    plain, variables, images = small()
    again, drawn, _ = small(remat=True)
    jax.tree.map(np.testing.assert_array_equal, variables, drawn)

    def grad(model):
        def loss(params):
            out, _ = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(2)},
            )  # fmt: skip
            return jnp.sum(out.logits**2)

        return jax.jit(jax.grad(loss))(variables["params"])

    for a, b in zip(jax.tree.leaves(grad(plain)), jax.tree.leaves(grad(again)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

"""Names, shapes and layouts of every source; what is kept, dropped, made anew or refused."""

from __future__ import annotations

import logging
import re
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from inception_jax import errors, models, weights
from tests.weights.helpers import tensors

# Written down from the frameworks themselves, not from our tables.
TORCHVISION = {
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Conv2d_3b_1x1.conv.weight": (80, 64, 1, 1),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
    "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
    "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
    "Mixed_6b.branch7x7_3.conv.weight": (192, 128, 7, 1),
    "Mixed_6b.branch7x7dbl_2.conv.weight": (128, 128, 7, 1),
    "Mixed_6c.branch7x7dbl_5.conv.weight": (192, 160, 1, 7),
    "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
    "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
    "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    "Mixed_7c.branch_pool.bn.running_var": (192,),
    "AuxLogits.conv0.conv.weight": (128, 768, 1, 1),
    "AuxLogits.conv1.conv.weight": (768, 128, 5, 5),
    "AuxLogits.fc.weight": (1000, 768),
    "fc.weight": (1000, 2048),
    "fc.bias": (1000,),
}
GOOGLENET = {
    "conv1.conv.weight": (64, 3, 7, 7),
    "inception3a.branch3.1.conv.weight": (32, 16, 3, 3),
    "inception5b.branch4.1.bn.weight": (128,),
    "aux1.fc1.weight": (1024, 2048),
    "aux2.conv.conv.weight": (128, 528, 1, 1),
    "aux2.fc2.bias": (1000,),
}
SLIM = {
    "InceptionV3/Conv2d_1a_3x3/weights": (3, 3, 3, 32),
    "InceptionV3/Mixed_5b/Branch_1/Conv2d_0b_5x5/weights": (5, 5, 48, 64),
    "InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_1x1/weights": (1, 1, 256, 48),
    "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/weights": (5, 5, 48, 64),
    "InceptionV3/Mixed_6a/Branch_0/Conv2d_1a_1x1/weights": (3, 3, 288, 384),
    "InceptionV3/Mixed_6a/Branch_1/Conv2d_1a_1x1/weights": (3, 3, 96, 96),
    "InceptionV3/Mixed_7b/Branch_1/Conv2d_0b_3x1/weights": (3, 1, 384, 384),
    "InceptionV3/Mixed_7c/Branch_1/Conv2d_0c_3x1/weights": (3, 1, 384, 384),
    "InceptionV3/Mixed_7c/Branch_2/Conv2d_0d_3x1/BatchNorm/moving_mean": (384,),
    "InceptionV3/AuxLogits/Conv2d_2a_5x5/weights": (5, 5, 128, 768),
    "InceptionV3/AuxLogits/Conv2d_2b_1x1/biases": (1000,),
    "InceptionV3/Logits/Conv2d_1c_1x1/weights": (1, 1, 2048, 1000),
}
PORT = {
    "conv1_7x7_s2.weight": (64, 3, 7, 7),
    "conv1_7x7_s2.bias": (64,),
    "inception_3c_double_3x3_2.weight": (96, 96, 3, 3),
    "inception_4d_pool_proj.weight": (128, 608, 1, 1),
    "inception_5a_1x1_bn.running_mean": (352,),
    "last_linear.weight": (1000, 1024),
}


@pytest.mark.parametrize(
    ("source", "network", "aux", "count", "some"),
    [
        ("torchvision", None, True, 580, TORCHVISION),
        ("timm", None, False, 566, {"Mixed_6e.branch1x1.bn.num_batches_tracked": ()}),
        ("torchvision", "googlenet", True, 364, GOOGLENET),
        ("keras", None, False, 94 * 4 + 2, {"conv93/kernel": (1, 1, 2048, 192)}),
        ("slim", None, True, 388, SLIM),  # TF-slim's own list of global variables has 388
        ("bninception", None, False, 69 * 7 + 2, PORT),
    ],
)
def test_names_and_shapes(source, network, aux, count, some):
    found = tensors(source, network, aux)
    assert len(found) == count
    assert {name: found[name].shape for name in some} == some


@pytest.mark.parametrize(
    ("source", "network", "aux"),
    [
        ("torchvision", None, True),
        ("timm", None, False),
        ("torchvision", "googlenet", True),
        ("keras", None, False),
        ("slim", None, True),
    ],
)
def test_round_trip_bit_for_bit(source, network, aux):
    given = tensors(source, network, aux)
    model, variables = weights.load(source, given, network=network)
    again = weights.export(source, model, variables)
    assert set(again) == set(given)
    for name, array in given.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape), name
        assert again[name].tobytes() == array.tobytes(), name


def test_every_parameter_of_the_network_is_filled():
    model, variables = weights.load("torchvision", tensors("torchvision"))
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), image)
    shapes = jax.tree.map(lambda x: (x.shape, str(x.dtype)), variables)
    assert shapes == jax.tree.map(lambda x: (x.shape, str(x.dtype)), dict(wanted))


def test_a_kernel_is_transposed_once():
    given = tensors("torchvision")
    kernel = weights.load("torchvision", given)[1]["params"]["Mixed_6b"]["branch1_conv1a"]["kernel"]
    theirs = given["Mixed_6b.branch7x7_2.conv.weight"]
    assert kernel.shape == (1, 7, 128, 128)
    np.testing.assert_array_equal(kernel[0, 5, 3, 7], theirs[7, 3, 0, 5])


def test_rules_come_as_options():
    torchvision, _ = weights.load("torchvision", tensors("torchvision"))
    keras, variables = weights.load("keras", tensors("keras", aux=False))
    assert torchvision.options.count_include_pad
    assert torchvision.options.bn_scale
    assert not keras.options.count_include_pad
    assert not keras.options.bn_scale
    assert "scale" not in variables["params"]["Conv2d_1a_3x3"]
    assert weights.find_rules("slim").options["bn_decay"] == 0.9997


def test_bias_before_batch_norm_is_folded_into_its_mean():
    given = tensors("bninception", aux=False)
    given["conv2_3x3.bias"] = np.linspace(-1, 1, 192, dtype=np.float32)
    _, variables = weights.load("bninception", given)
    mean = variables["batch_stats"]["Conv2d_2_3x3"]["mean"]
    expected = given["conv2_3x3_bn.running_mean"] - given["conv2_3x3.bias"]
    np.testing.assert_array_equal(mean, expected)


def test_old_ports_keep_vectors_as_rows():
    given = tensors("bninception", aux=False)
    rows = {k: v[None] if v.ndim == 1 and "_bn." in k else v for k, v in given.items()}
    a, b = (weights.load("bninception", t)[1] for t in (given, rows))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


@pytest.mark.parametrize("aux", ["drop", None])
def test_heads(aux):
    given = tensors("torchvision")
    model, variables = weights.load("torchvision", given, aux=aux)
    has_head = aux != "drop"
    assert model.options.aux.sites == (("Mixed_6e",) if has_head else ())
    assert ("AuxLogits_Mixed_6e" in variables["params"]) == has_head


@pytest.mark.slow  # draws a whole network
def test_new_heads_leave_the_rest_as_it_was():
    given = tensors("keras", aux=False)
    _, plain = weights.load("keras", given)
    model, variables = weights.load("keras", given, aux="init")
    head = variables["params"].pop("AuxLogits_Mixed_6e")
    variables["batch_stats"].pop("AuxLogits_Mixed_6e")
    assert model.options.aux.sites == ("Mixed_6e",)
    assert head["conv1"]["kernel"].shape == (5, 5, 128, 768)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, plain, dict(variables))))


def with_background(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A classifier of 1001, class 0 with weights of 9."""
    wide = dict(given)
    for name in given:
        if "Logits/Conv2d_1c_1x1" in name or ("Conv2d_2b_1x1" in name and "AuxLogits" in name):
            pad = [(0, 0)] * (given[name].ndim - 1) + [(1, 0)]
            wide[name] = np.pad(given[name], pad, constant_values=9.0)
    return wide


def test_background_class_is_dropped_and_said(caplog):
    given = tensors("slim")
    with caplog.at_level(logging.WARNING):
        model, variables = weights.load("slim", with_background(given))
    assert "background" in caplog.text
    assert model.num_classes == 1000
    for module, name in (("Logits", "Logits/Conv2d_1c_1x1"), ("AuxLogits_Mixed_6e", "")):
        dense = variables["params"][module]
        kernel = dense["kernel"] if name else dense["fc"]["kernel"]
        theirs = f"InceptionV3/{name or 'AuxLogits/Conv2d_2b_1x1'}/weights"
        np.testing.assert_array_equal(kernel, given[theirs][0, 0])


def test_background_class_is_kept_where_asked():
    model, variables = weights.load("slim", with_background(tensors("slim")), num_classes=1001)
    assert model.num_classes == 1001
    assert float(variables["params"]["Logits"]["bias"][0]) == 9.0


@pytest.mark.slow
def test_another_number_of_classes_makes_new_classifiers():
    given = tensors("torchvision")
    found = weights.read("torchvision", given, num_classes=5)
    assert found.variables["params"]["Logits"]["kernel"].shape == (2048, 5)
    assert found.variables["params"]["AuxLogits_Mixed_6e"]["fc"]["bias"].shape == (5,)
    assert "5 classes, not 1000" in found.notes[0]
    np.testing.assert_array_equal(
        found.variables["params"]["AuxLogits_Mixed_6e"]["conv0"]["bias"],
        given["AuxLogits.conv0.bn.bias"],
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_floats_become_float32_and_it_is_said(dtype):
    given = {k: v.astype(dtype) if v.dtype == np.float32 else v
             for k, v in tensors("timm", aux=False).items()}  # fmt: skip
    found = weights.read("timm", given)
    assert {str(x.dtype) for x in jax.tree.leaves(found.variables)} == {"float32"}
    assert np.dtype(dtype).name in found.notes[0]


def test_wrapped_state_dicts():
    given = tensors("timm", aux=False)
    wrapped = {"state_dict": {f"module.{k}": v for k, v in given.items()}, "epoch": 3}
    _, variables = weights.load("timm", wrapped)
    np.testing.assert_array_equal(variables["params"]["Logits"]["bias"], given["fc.bias"])


# A trainer's checkpoint of TF-slim: for every variable its average and the optimizer's slots.
@pytest.mark.parametrize("ema", [False, True])
def test_a_checkpoint_of_a_run(ema):
    given = tensors("slim", aux=False)
    trained = {n: v for n, v in given.items() if "moving_" not in n}
    slots = {f"{n}/{slot}": v for n, v in trained.items() for slot in ("RMSProp", "RMSProp_1")}
    averages = {f"{n}/ExponentialMovingAverage": v + 1 for n, v in trained.items()}
    counters = {"global_step": np.int64(7), "beta1_power": np.float32(0.9)}
    found = weights.read("slim", {**given, **slots, **averages, **counters}, ema=ema)
    stem = "InceptionV3/Conv2d_1a_3x3/"
    params, stats = (found.variables[c]["Conv2d_1a_3x3"] for c in ("params", "batch_stats"))
    np.testing.assert_array_equal(params["kernel"], given[f"{stem}weights"] + ema)
    np.testing.assert_array_equal(stats["mean"], given[f"{stem}BatchNorm/moving_mean"])
    assert f"{2 * len(trained) + 2} tensors of its optimizer left out" in found.notes[0]
    said = f"averaged weights: {len(trained)} of {len(given)}" if ema else "ema takes them"
    assert said in found.notes[1]


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema"])
def test_averages_in_a_torch_checkpoint(key):
    given = tensors("timm", aux=False)
    averaged = {f"module.{n}": v + 1 for n, v in given.items()}
    averaged["n_averaged"] = np.array(3)
    wrapped = {"state_dict": given, key: averaged, "optimizer": {"state": {}}}
    plain, ema = (weights.load("timm", wrapped, ema=ema)[1] for ema in (False, True))
    np.testing.assert_array_equal(plain["params"]["Logits"]["bias"], given["fc.bias"])
    np.testing.assert_array_equal(ema["params"]["Logits"]["bias"], given["fc.bias"] + 1)
    with pytest.raises(errors.UserError, match="has no averaged weights; leave out ema"):
        weights.load("timm", given, ema=True)


def test_a_number_of_classes_that_is_not_imagenet_s_is_said():
    given = tensors("torchvision", aux=False)
    for classes, pattern in ((1001, "1001 classes.*may be background"), (7, "has 7 classes, not")):
        shapes = {"fc.weight": (classes, 2048), "fc.bias": (classes,)}
        more = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
        found = weights.read("torchvision", {**given, **more})
        assert found.model.num_classes == classes
        assert re.search(pattern, found.notes[0])


def without(given: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {k: v for k, v in given.items() if k not in names}


@pytest.mark.parametrize(
    ("source", "change", "options", "pattern"),
    [
        ("torchvision", lambda t: without(t, "fc.bias", "Mixed_5b.branch1x1.bn.bias"), {},
         "2 missing: Mixed_5b.branch1x1.bn.bias, fc.bias$"),
        ("torchvision", lambda t: without(t, "fc.bias", "fc.weight"), {},
         "2 missing: fc.bias, fc.weight; num_classes=N makes a new classifier"),
        ("torchvision", lambda t: {**t, "extra.weight": t["fc.bias"]}, {},
         "1 unused: extra.weight$"),
        ("torchvision", lambda t: without(t, "AuxLogits.fc.bias"), {}, "1 missing: AuxLogits.fc.b"),
        ("torchvision", lambda t: {**t, "fc.weight": t["fc.weight"][:, 1:]}, {},
         r"1 of another shape or type: fc.weight \[1000, 2047\]"),
        ("torchvision", lambda t: {**t, "fc.bias": t["fc.bias"].astype(np.int8)}, {},
         r"of another shape or type: fc.bias"),
        ("torchvision", lambda t: tensors("torchvision", "googlenet"), {},
         "is not inception_v3 of torchvision: most .* those of bn_googlenet of torchvision: "
         "source torchvision, network googlenet$"),
        ("torchvision", lambda t: tensors("slim"), {}, "inception_v3 of TF-slim: source slim, "),
        ("torchvision", lambda t: {"layer1.0.weight": t["fc.bias"]}, {}, "of no known network"),
        ("torchvision", lambda t: without(t, *(k for k in t if k.startswith("AuxLogits"))),
         {"aux": "load"}, "has no auxiliary head; use aux='init'"),
        ("torchvision", lambda t: {**t, "fc.bias": "text"}, {}, "fc.bias .* is no tensor"),
        ("torchvision", lambda t: t, {"factorization": {"grid35": "stacked_3x3"}},
         "without factorization"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(source, change, options, pattern):
    with pytest.raises(errors.UserError, match=pattern) as caught:
        weights.load(source, change(tensors(source)), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "pattern"),
    [
        (("torchvison",), {}, "did you mean 'torchvision'"),
        (("keras",), {"network": "googlenet"}, "known: inception_v3"),
        (("torchvision",), {"aux": "loda"}, "did you mean 'load'"),
        (("timm",), {"dropuot": 0.1}, "did you mean 'dropout'"),
    ],
)
def test_wrong_words_name_the_nearest(arguments, options, pattern):
    with pytest.raises(errors.UsageError, match=pattern):
        weights.load(arguments[0], tensors("timm", aux=False), **options)


def test_export_fills_in_gamma_and_says_where_rules_part(caplog):
    model, variables = weights.load("keras", tensors("keras", aux=False))
    with caplog.at_level(logging.WARNING):
        exported = weights.export("torchvision", model, variables)
    assert set(exported["Conv2d_1a_3x3.bn.weight"]) == {1.0}
    assert "count_include_pad=True" in caplog.text
    scaled, variables = weights.load("timm", tensors("timm", aux=False))
    with pytest.raises(errors.UserError, match="has no gamma"):
        weights.export("keras", scaled, variables)


def test_export_of_another_network():
    model = models.create("inception_v3", factorization={"grid35": "stacked_3x3"})
    with pytest.raises(errors.UserError, match="7 convolutions at Mixed_5b"):
        weights.export("torchvision", model, {})


def test_images_as_a_source_expects_them():
    image = np.array([[[[-1.0, 0.0, 1.0]]]], np.float32)
    same = weights.adapt_images(image, weights.find_rules("torchvision"))
    np.testing.assert_array_equal(same, image)
    gluon = weights.adapt_images(image, weights.find_rules("timm.gluon_in1k"))
    expected = [(0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(gluon[0, 0, 0], expected, rtol=1e-6)
    caffe = weights.adapt_images(image, weights.find_rules("bninception"))
    np.testing.assert_allclose(caffe[0, 0, 0], [255 - 104, 127.5 - 117, 0 - 128], rtol=1e-4)


@pytest.mark.slow
def test_folded_input_is_the_same_network():
    imported = weights.read("timm.gluon_in1k", tensors("timm", aux=False))
    folded = weights.fold_input(imported)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    theirs: Any = imported.model.apply(
        imported.variables, weights.adapt_images(images, imported.rules), train=False
    )
    ours: Any = folded.model.apply(folded.variables, images, train=False)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-3, atol=1e-4)
    assert "folded into Conv2d_1a_3x3" in folded.notes[-1]

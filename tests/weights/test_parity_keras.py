"""Keras on its JAX backend, with random weights and statistics: every endpoint and the logits."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import numpy as np
import pytest

from inception_jax import weights

keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # Keras's own
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="needs KERAS_BACKEND=jax"),
]
SIZE = 75
CONVOLUTIONS = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
POOLS = ("MaxPool_3a_3x3", "MaxPool_5a_3x3")


def number(layer) -> int:
    """Keras numbers the layers of a kind as they are made, the first without a number."""
    return int("".join(filter(str.isdecimal, layer.name.removeprefix("max_pooling2d"))) or 0)


@pytest.fixture(scope="module")
def network():
    """Keras's network with random weights; drawing them by Keras compiles a program a shape."""

    def zeros(self, shape, dtype=None, **_):
        return np.zeros(shape, "float32")

    patch = pytest.MonkeyPatch()
    patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    # Keras broadcasts ranks, which our own code may not
    with jax.numpy_rank_promotion("allow"):
        built = keras.applications.InceptionV3(
            weights=None, input_shape=(SIZE, SIZE, 3), classifier_activation=None
        )
    patch.undo()
    rng = np.random.default_rng(0)
    for layer in built.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            beta, mean, var = layer.get_weights()
            layer.set_weights(
                [rng.normal(0, 0.2, beta.shape), rng.normal(0, 0.3, mean.shape),
                 rng.uniform(0.5, 1.5, var.shape)]
            )  # fmt: skip
        elif layer.get_weights():
            kernel, *bias = layer.get_weights()
            sd = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            biases = [rng.normal(0, 0.2, b.shape) for b in bias]
            layer.set_weights([rng.normal(0, sd, kernel.shape), *biases])
    return built


@pytest.fixture(scope="module")
def activations(network):
    outputs = {f"mixed{i}": network.get_layer(f"mixed{i}").output for i in range(11)}
    for kind, ours in ((keras.layers.Activation, CONVOLUTIONS), (keras.layers.MaxPooling2D, POOLS)):
        made = sorted((x for x in network.layers if isinstance(x, kind)), key=number)
        outputs |= {name: layer.output for name, layer in zip(ours, made, strict=False)}
    outputs["Logits"] = network.output
    images = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    with jax.numpy_rank_promotion("allow"):
        found = keras.Model(network.input, outputs)(images)
    return images, {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_every_endpoint_and_the_logits(network, activations, tmp_path, ending):
    path = tmp_path / f"network{ending}"
    if ending == ".weights.h5":
        network.save_weights(path)
    else:
        network.save(path)
    images, theirs = activations
    model, variables = weights.load("keras", path)
    differences = weights.compare_endpoints(model, variables, theirs, images)
    assert len(differences) == 5 + 2 + 11 + 1
    assert max(d.relative for d in differences) < 1e-4, differences


def test_the_padding_count_is_what_makes_them_agree(network, activations, tmp_path):
    network.save_weights(tmp_path / "n.weights.h5")
    images, theirs = activations
    model, variables = weights.load("keras", tmp_path / "n.weights.h5", count_include_pad=True)
    differences = weights.compare_endpoints(model, variables, theirs, images)
    relative = {d.name: d.relative for d in differences}
    assert relative["MaxPool_5a_3x3"] < 1e-4  # before the first average pooling
    assert relative["Mixed_5b"] > 1e-2


def test_weights_as_a_mapping(network):
    given = {
        f"{layer.name}/{variable.name}": np.asarray(variable)
        for layer in network.layers
        for variable in layer.weights
    }
    _, variables = weights.load("keras", given)
    np.testing.assert_array_equal(
        variables["params"]["Mixed_7c"]["branch3_conv1"]["kernel"], given["conv2d_93/kernel"]
    )


def test_keras_counts_as_published(network):
    assert network.count_params() == 23_851_784
    model, variables = weights.load(
        "keras", {f"{x.name}/{v.name}": np.asarray(v) for x in network.layers for v in x.weights}
    )
    assert sum(x.size for x in jax.tree.leaves(variables)) == 23_851_784
    assert model.num_classes == 1000

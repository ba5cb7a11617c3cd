"""torchvision and timm, where they are installed, with random weights and statistics.

torchvision has no build for a processor alone on some indices; its operators are then declared
without being there, which a classification network does not need.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import numpy as np
import pytest

from inception_jax import weights

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # torch's own
]
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
MIXED = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d",
         "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c")  # fmt: skip
INCEPTION_V3 = (*STEM, *MIXED, "maxpool1", "maxpool2")
TIMM = (*STEM, *MIXED, "Pool1", "Pool2")
GOOGLENET = ("conv1", "conv2", "conv3", *(f"maxpool{i}" for i in (1, 2, 3, 4)),
             *(f"inception{b}" for b in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")),
             )  # fmt: skip


def torchvision_models() -> Any:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for _ in range(32):
        try:
            models = importlib.import_module("torchvision.models")
        except RuntimeError as error:
            found = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if found is None:
                raise
            library.define(f"{found[1]}() -> Tensor")
            for name in [n for n in sys.modules if n.startswith("torchvision")]:
                del sys.modules[name]
        except ImportError:
            break
        else:
            return models
    return pytest.skip("torchvision is not installed")


def randomised(network: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.ndim > 1:
            sd = float(np.sqrt(2 / np.prod(value.shape[1:])))
            value.normal_(0, sd, generator=generator)
        else:
            value.normal_(0, 0.2, generator=generator)
    network.load_state_dict(state)
    return network.eval()


def images(size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)


def activations(network: Any, size: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: found.__setitem__(name, output.detach().numpy())

    hooks = [getattr(network, name).register_forward_hook(keep(name)) for name in names]
    with torch.no_grad():
        output = network(torch.from_numpy(images(size).transpose(0, 3, 1, 2).copy()))
    for hook in hooks:
        hook.remove()
    return {**found, "Logits": output.numpy()}


def check(source: str, theirs: Any, size: int, names: tuple[str, ...], **options: Any) -> None:
    model, variables = weights.load(source, theirs.state_dict(), **options)
    found = activations(theirs, size, names)
    differences = weights.compare_endpoints(model, variables, found, images(size))
    assert len(differences) == len(names) + 1
    assert max(d.relative for d in differences) < 1e-4, differences


def check_round_trip(source: str, theirs: Any, **options: Any) -> None:
    state = theirs.state_dict()
    exported = weights.export(source, *weights.load(source, state, **options))
    assert set(exported) == set(state)
    for name, value in state.items():
        assert (exported[name].dtype, exported[name].shape) == (value.numpy().dtype, value.shape)
        assert exported[name].tobytes() == value.numpy().tobytes(), name
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in exported.items()})


@pytest.mark.parametrize("size", [139, 299])
def test_torchvision_inception_v3(size):
    network = randomised(torchvision_models().inception_v3(weights=None, init_weights=False))
    check("torchvision", network, size, INCEPTION_V3)
    check_round_trip("torchvision", network)


def test_torchvision_inception_v3_head():
    network = randomised(torchvision_models().inception_v3(weights=None, init_weights=False))
    model, variables = weights.load("torchvision", network.state_dict())
    network.training = True  # returns the head, while every layer stays in eval mode
    with torch.no_grad():
        output = network(torch.from_numpy(images(299).transpose(0, 3, 1, 2).copy()))
    ours: Any = model.apply(variables, images(299))
    for a, b in ((ours.logits, output.logits), (ours.aux[0], output.aux_logits)):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=1e-4 * float(b.abs().max()))


@pytest.mark.parametrize("size", [64, 75, 224])
def test_torchvision_googlenet(size):
    network = randomised(torchvision_models().googlenet(weights=None, init_weights=False))
    check("torchvision", network, size, GOOGLENET, network="googlenet")
    check_round_trip("torchvision", network, network="googlenet")


def test_torchvision_googlenet_heads():
    network = randomised(torchvision_models().googlenet(weights=None, init_weights=False))
    model, variables = weights.load("torchvision", network.state_dict(), network="googlenet")
    network.training = True
    with torch.no_grad():
        output = network(torch.from_numpy(images(224).transpose(0, 3, 1, 2).copy()))
    ours: Any = model.apply(variables, images(224))
    theirs = (output.logits, output.aux_logits1, output.aux_logits2)
    for a, b in zip((ours.logits, *ours.aux), theirs, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=1e-4 * float(b.abs().max()))


@pytest.mark.parametrize("source", ["timm.tv_in1k", "timm.tf_in1k", "timm.tf_adv_in1k"])
def test_timm_inception_v3(source):
    torchvision_models()  # timm imports torchvision
    timm = pytest.importorskip("timm")
    network = randomised(timm.create_model("inception_v3"))
    check(source, network, 139, TIMM)
    check_round_trip(source, network)


def test_timm_gluon_takes_images_of_imagenet_statistics():
    torchvision_models()
    timm = pytest.importorskip("timm")
    network = randomised(timm.create_model("inception_v3"))
    imported = weights.read("timm.gluon_in1k", network.state_dict())
    configured = timm.models.get_pretrained_cfg("inception_v3.gluon_in1k")
    assert imported.rules.input.mean == configured.mean
    assert imported.rules.input.std == configured.std
    ours = images(139)
    theirs = np.asarray(weights.adapt_images(ours, imported.rules)).transpose(0, 3, 1, 2).copy()
    with torch.no_grad():
        expected = network(torch.from_numpy(theirs)).numpy()
    folded = weights.fold_input(imported)
    found: Any = folded.model.apply(folded.variables, ours)
    np.testing.assert_allclose(
        found.logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_timm_rules_are_timms():
    torchvision_models()
    timm = pytest.importorskip("timm")
    for tag in ("tv_in1k", "tf_in1k", "tf_adv_in1k", "gluon_in1k"):
        rules = weights.find_rules(f"timm.{tag}")
        configured = timm.models.get_pretrained_cfg(f"inception_v3.{tag}")
        assert (rules.input.mean, rules.input.std) == (configured.mean, configured.std)
        assert (rules.crop, rules.interpolation) == (configured.crop_pct, configured.interpolation)


@pytest.mark.parametrize("size", [224, 225])
def test_port_of_bn_inception(size):
    torchvision_models()
    port = pytest.importorskip("pretrainedmodels.models.bninception")
    network = randomised(port.BNInception())
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("_bn.weight"):
            value.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    model, variables = weights.load("bninception", state)
    rules = weights.find_rules("bninception")
    theirs = np.asarray(weights.adapt_images(images(size), rules))
    with torch.no_grad():
        grid = network.features(torch.from_numpy(theirs.transpose(0, 3, 1, 2).copy()))
        logits = network.last_linear(grid.mean((2, 3)))
    expected = {"inception_5b_output": grid.numpy(), "Logits": logits.numpy()}
    differences = weights.compare_endpoints(model, variables, expected, theirs)
    assert [d.name for d in differences] == ["Inception_5b", "Logits"]
    assert max(d.relative for d in differences) < 1e-4, differences


def test_files_that_torch_saves(tmp_path):
    state = {
        "a": torch.randn(3, 4).t(), "half": torch.randn(5).half(), "n": torch.tensor(3),
        "wide": torch.randn(2, 2).bfloat16(), "parameter": torch.nn.Parameter(torch.randn(2)),
    }  # fmt: skip
    from inception_jax.weights import files

    for new in (True, False):
        torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
        found = files.read(tmp_path / "w.pth")
        assert set(found) == set(state)
        for name, value in state.items():
            np.testing.assert_array_equal(
                np.asarray(found[name], np.float32), value.detach().float().numpy()
            )
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(Exception, match=r"is refused: its pickle asks for torch\.nn"):
        files.read(tmp_path / "module.pth")

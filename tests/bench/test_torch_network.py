"""The opponent computes our networks: same weights, same logits."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from inception_jax import config as configs
from inception_jax import errors, models

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# sizes at which TensorFlow's padding is on both sides, as torch's always is
SIZES = {"inception_small": 33, "inception_v3": 107}


def units(params: Any, stats: Any, order: list[str]) -> list[tuple[Any, Any]]:
    """Parameters and statistics of the convolutions, in the order of their names."""
    found = []
    for name in order:
        one, other = params, stats
        for part in name.split("/")[:-1]:
            one, other = one[part], other[part]
        found.append((one, other))
    return found


@pytest.mark.parametrize("name", list(SIZES))
def test_same_weights_give_the_same_logits(name):
    from inception_jax.bench import torch_network
    from inception_jax.train import state

    config = configs.apply(configs.default(), {"model.name": name})
    size = SIZES[name]
    model = models.from_config(config.model, 7)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    variables: Any = model.init(jax.random.key(0), images)
    order = state.forward_order(model, (size, size, 3))
    kernels = [path for path in order if path.endswith("kernel") and "Logits" not in path]
    theirs = torch_network.network(config, 3, 7).eval()
    modules = [m for m in theirs.modules() if isinstance(m, torch_network.Unit)]
    ours = units(variables["params"], variables["batch_stats"], kernels)
    with torch.no_grad():
        for module, (params, stats) in zip(modules, ours, strict=True):
            stats["var"] = rng.uniform(0.5, 1.5, stats["var"].shape).astype(np.float32)
            module.conv.weight.copy_(torch.tensor(np.transpose(params["kernel"], (3, 2, 0, 1))))
            module.bn.running_var.copy_(torch.tensor(stats["var"]))
        dense = variables["params"]["Logits"]
        theirs[-1].weight.copy_(torch.tensor(np.array(dense["kernel"]).T))
        theirs[-1].bias.copy_(torch.tensor(np.array(dense["bias"])))
        expected = theirs(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    found: Any = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-3, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize(
    "overrides",
    [{"model.name": "googlenet"}, {"model.strided_padding": "torch"},
     {"model.aux.sites": ("Mixed_6b",)}, {"model.factorization.grid35.strategy": "stacked_2x2"}],
    ids=str,
)  # fmt: skip
def test_what_it_does_not_have_is_one_line(overrides):
    from inception_jax.bench import torch_network

    config = configs.apply(configs.default(), overrides)
    with pytest.raises(errors.UserError, match="leave out --against"):
        torch_network.network(config, 3, 7)

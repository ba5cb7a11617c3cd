"""The steps that PyTorch takes in a benchmark, in its fastest form on a CPU: channels_last."""

# torch is no dependency, so that a check without it cannot resolve it
# pyright: reportMissingImports=false

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from inception_jax.bench import torch_network
from inception_jax.bench.setting import Setting


def prepare(setting: Setting) -> Callable[[], None]:
    """A step of training or evaluation over one random batch that is there already."""
    torch.manual_seed(0)
    config, size = setting.config, setting.config.data.image_size
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = _network(config, setting).to(device, memory_format=torch.channels_last)
    images = torch.rand(config.data.batch_size, setting.channels, size, size) * 2 - 1
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.randint(setting.num_classes, (config.data.batch_size,), device=device)
    precision = torch.autocast(device, torch.bfloat16, enabled=config.model.dtype == "bfloat16")
    forward = torch.compile(network) if setting.compiled else network
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    if setting.measure == "eval":
        network.eval()

        def evaluate() -> None:
            with torch.inference_mode(), precision:
                forward(images)
            wait()

        return evaluate
    optim = _optimizer(network, config.optim)

    def train() -> None:
        optim.zero_grad(set_to_none=True)
        with precision:
            loss = functional.cross_entropy(_logits(forward(images)), labels)
        loss.backward()
        optim.step()
        loss.item()
        wait()

    return train


def about() -> dict[str, Any]:
    """Versions, threads and whose network it is."""
    found = {"torch": torch.__version__, "python": platform.python_version()}
    vision = _torchvision()
    versions = found | ({"torchvision": vision.__version__} if vision else {})
    return {"versions": versions, "threads": torch.get_num_threads()}


def bound(setting: Setting) -> dict[str, float]:
    """Nothing: the bound is measured on our side."""
    del setting
    return {}


def device_peak_bytes() -> int:
    """The most memory held on the GPU; 0 without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def _optimizer(network: nn.Module, optim: ConfigDict) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        network.parameters(), lr=optim.learning_rate, alpha=optim.rms_decay, eps=optim.epsilon,
        weight_decay=optim.weight_decay, momentum=optim.momentum,
    )  # fmt: skip


def _logits(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.logits


def _network(config: ConfigDict, setting: Setting) -> nn.Module:
    vision = _torchvision() if config.model.name == "inception_v3" else None
    if vision is None:
        return torch_network.network(config, setting.channels, setting.num_classes)
    return vision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)


def _torchvision() -> Any:
    """torchvision, or None where it is not installed or does not load beside this torch."""
    try:
        import torchvision
    except (ImportError, RuntimeError):
        return None
    return torchvision

"""Weights of other frameworks, in and out, each with the rules that make them right.

    model, variables = weights.load("torchvision", "inception_v3_google-0cc3c7bd.pth")
    logits, aux = model.apply(variables, images, train=False)     # images RGB in [-1, 1]
    tensors = weights.export("torchvision", model, variables)     # NumPy arrays by name

Files are parsed, never run: safetensors, torch's zip files, HDF5 and `.keras`, TensorFlow
checkpoints and `.npz`, without torch or TensorFlow.
"""

from __future__ import annotations

from inception_jax.weights.compare import Difference, compare_endpoints, endpoints
from inception_jax.weights.export import adapt_images, export, fold_input
from inception_jax.weights.files import write
from inception_jax.weights.load import Imported, load, read
from inception_jax.weights.rules import SOURCES, Rules
from inception_jax.weights.rules import find as find_rules

__all__ = [
    "SOURCES", "Difference", "Imported", "Rules",
    "adapt_images", "compare_endpoints", "endpoints", "export", "find_rules",
    "fold_input", "load", "read", "write",
]  # fmt: skip

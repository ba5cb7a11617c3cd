"""What every framework calls the layers: one name for each convolution, in our plan's order.

A block's names stand in the order in which the network is written down here: branch by branch, and
along each branch. That order is also Keras's order of creation, whose names are only numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

Names = Mapping[str, tuple[str, ...]]

# Inception-v3 in torchvision and timm
_STEM_V3 = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_A = ("branch1x1", "branch5x5_1", "branch5x5_2", "branch3x3dbl_1", "branch3x3dbl_2",
      "branch3x3dbl_3", "branch_pool")  # fmt: skip
_B = ("branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
_C = ("branch1x1", "branch7x7_1", "branch7x7_2", "branch7x7_3", "branch7x7dbl_1", "branch7x7dbl_2",
      "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5", "branch_pool")  # fmt: skip
_D = ("branch3x3_1", "branch3x3_2", "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3",
      "branch7x7x3_4")  # fmt: skip
_E = ("branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1",
      "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool")  # fmt: skip
_TORCH_BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}
TORCH_V3: Names = {
    **{name: (name,) for name in _STEM_V3},
    **{block: tuple(f"{block}.{n}" for n in names) for block, names in _TORCH_BLOCKS.items()},
    "Logits": ("fc",),
    "AuxLogits_Mixed_6e": ("AuxLogits.conv0", "AuxLogits.conv1", "AuxLogits.fc"),
}

# Inception-v3 in TF-slim. Irregular where marked: names that its checkpoints have fixed for good.
_SLIM_A = ("0/Conv2d_0a_1x1", "1/Conv2d_0a_1x1", "1/Conv2d_0b_5x5", "2/Conv2d_0a_1x1",
           "2/Conv2d_0b_3x3", "2/Conv2d_0c_3x3", "3/Conv2d_0b_1x1")  # fmt: skip
_SLIM_5C = ("0/Conv2d_0a_1x1", "1/Conv2d_0b_1x1", "1/Conv_1_0c_5x5", *_SLIM_A[3:])  # irregular
_SLIM_6A = ("0/Conv2d_1a_1x1", "1/Conv2d_0a_1x1", "1/Conv2d_0b_3x3",
            "1/Conv2d_1a_1x1")  # fmt: skip  # irregular: both 1a are 3x3
_SLIM_C = ("0/Conv2d_0a_1x1", "1/Conv2d_0a_1x1", "1/Conv2d_0b_1x7", "1/Conv2d_0c_7x1",
           "2/Conv2d_0a_1x1", "2/Conv2d_0b_7x1", "2/Conv2d_0c_1x7", "2/Conv2d_0d_7x1",
           "2/Conv2d_0e_1x7", "3/Conv2d_0b_1x1")  # fmt: skip
_SLIM_7A = ("0/Conv2d_0a_1x1", "0/Conv2d_1a_3x3", "1/Conv2d_0a_1x1", "1/Conv2d_0b_1x7",
            "1/Conv2d_0c_7x1", "1/Conv2d_1a_3x3")  # fmt: skip
_SLIM_7B = ("0/Conv2d_0a_1x1", "1/Conv2d_0a_1x1", "1/Conv2d_0b_1x3", "1/Conv2d_0b_3x1",
            "2/Conv2d_0a_1x1", "2/Conv2d_0b_3x3", "2/Conv2d_0c_1x3", "2/Conv2d_0d_3x1",
            "3/Conv2d_0b_1x1")  # fmt: skip  # irregular: 0b twice, in 7b only
_SLIM_7C = (*_SLIM_7B[:3], "1/Conv2d_0c_3x1", *_SLIM_7B[4:])
_SLIM_BLOCKS = {
    "Mixed_5b": _SLIM_A,
    "Mixed_5c": _SLIM_5C,
    "Mixed_5d": _SLIM_A,
    "Mixed_6a": _SLIM_6A,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _SLIM_C),
    "Mixed_7a": _SLIM_7A,
    "Mixed_7b": _SLIM_7B,
    "Mixed_7c": _SLIM_7C,
}
_SLIM = "InceptionV3/"
SLIM_V3: Names = {
    **{name: (_SLIM + name,) for name in _STEM_V3},
    **{
        block: tuple(f"{_SLIM}{block}/Branch_{n}" for n in names)
        for block, names in _SLIM_BLOCKS.items()
    },
    "Logits": (_SLIM + "Logits/Conv2d_1c_1x1",),
    "AuxLogits_Mixed_6e": tuple(
        f"{_SLIM}AuxLogits/{n}" for n in ("Conv2d_1b_1x1", "Conv2d_2a_5x5", "Conv2d_2b_1x1")
    ),
}

# Inception-v3 in Keras, by the order in which its layers are created
_COUNTS = {**dict.fromkeys(_STEM_V3, 1), **{b: len(n) for b, n in _TORCH_BLOCKS.items()}}


def _numbered(counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """`conv0`, `conv1`, ... in the order of creation."""
    names: dict[str, tuple[str, ...]] = {}
    start = 0
    for block, count in counts.items():
        names[block] = tuple(f"conv{i}" for i in range(start, start + count))
        start += count
    return names


KERAS_V3: Names = {**_numbered(_COUNTS), "Logits": ("predictions",)}

# GoogLeNet in torchvision
_GOOGLENET_BLOCKS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
_BRANCHES = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
TORCH_GOOGLENET: Names = {
    "Conv2d_1_7x7": ("conv1",),
    "Conv2d_2_1x1": ("conv2",),
    "Conv2d_2_3x3": ("conv3",),
    **{
        f"Inception_{b}": tuple(f"inception{b}.{branch}" for branch in _BRANCHES)
        for b in _GOOGLENET_BLOCKS
    },
    "Logits": ("fc",),
    "AuxLogits_Inception_4a": ("aux1.conv", "aux1.fc1", "aux1.fc2"),
    "AuxLogits_Inception_4d": ("aux2.conv", "aux2.fc1", "aux2.fc2"),
}

# BN-Inception in the Caffe and PyTorch ports
_PORT_MODULE = ("1x1", "3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2",
                "pool_proj")  # fmt: skip
_PORT_REDUCTION = _PORT_MODULE[1:-1]
PORT_BN_INCEPTION: Names = {
    "Conv2d_1_7x7": ("conv1_7x7_s2",),
    "Conv2d_2_1x1": ("conv2_3x3_reduce",),
    "Conv2d_2_3x3": ("conv2_3x3",),
    **{
        f"Inception_{b}": tuple(
            f"inception_{b}_{n}" for n in (_PORT_REDUCTION if b in ("3c", "4e") else _PORT_MODULE)
        )
        for b in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    },
    "Logits": ("last_linear",),
}

# Intermediate results that go by another name than ours: network -> name -> our endpoint.
ENDPOINTS: dict[str, dict[str, str]] = {
    "inception_v3": {
        **{f"mixed{i}": block for i, block in enumerate(_TORCH_BLOCKS)},  # Keras
        **dict.fromkeys(("maxpool1", "Pool1"), "MaxPool_3a_3x3"),  # torchvision, timm
        **dict.fromkeys(("maxpool2", "Pool2"), "MaxPool_5a_3x3"),
    },
    "bn_googlenet": {  # torchvision
        **{
            layers[0].partition(".")[0]: node
            for node, layers in TORCH_GOOGLENET.items()
            if not node.startswith(("Logits", "AuxLogits"))
        },
        **{f"maxpool{i}": f"MaxPool_{i}" for i in (1, 2, 3, 4)},
    },
    "bn_inception": {  # the ports: their blocks' concatenations
        f"{node.lower()}_output": node for node in PORT_BN_INCEPTION if "Inception" in node
    },
}

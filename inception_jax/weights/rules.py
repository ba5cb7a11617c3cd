"""What each source of weights does its own way: the tables that the importer and docs run on.

A set of weights is only right with the padding count, the batch norm, the input range and the
classes of the code that trained it. `SOURCES` has these as data, one entry a source and network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from inception_jax import errors
from inception_jax.weights import names
from inception_jax.weights.names import Names


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a source names and lays out the tensors of one layer; `{}` is the layer's name.

    Attributes:
        kernel, bias, mean, var: of a convolution and its batch norm (`bias` is its beta).
        scale: the batch norm's gamma; "" where there is none.
        conv_bias: a bias before the batch norm, which is folded into its mean.
        counter: a counter that only the source needs: not read, written as 0.
        dense_kernel, dense_bias: of a linear layer.
        oihw: kernels are [out, in, height, width] and [out, in], not [height, width, in, out].
        dense_is_conv: a linear layer is a 1x1 convolution.
        training_state: patterns of names that are no weights but a run's state.
    """

    kernel: str
    bias: str
    mean: str
    var: str
    scale: str = ""
    conv_bias: str = ""
    counter: str = ""
    dense_kernel: str = "{}.weight"
    dense_bias: str = "{}.bias"
    oihw: bool = False
    dense_is_conv: bool = False
    training_state: tuple[str, ...] = ()


TORCH = Layout(
    kernel="{}.conv.weight",
    scale="{}.bn.weight",
    bias="{}.bn.bias",
    mean="{}.bn.running_mean",
    var="{}.bn.running_var",
    counter="{}.bn.num_batches_tracked",
    oihw=True,
    training_state=("n_averaged*",),
)
PORT = Layout(
    kernel="{}.weight",
    conv_bias="{}.bias",
    scale="{}_bn.weight",
    bias="{}_bn.bias",
    mean="{}_bn.running_mean",
    var="{}_bn.running_var",
    counter="{}_bn.num_batches_tracked",
    oihw=True,
)
KERAS = Layout(
    kernel="{}/kernel",
    bias="{}/beta",
    mean="{}/moving_mean",
    var="{}/moving_variance",
    dense_kernel="{}/kernel",
    dense_bias="{}/bias",
)
_TF_OPTIMIZERS = ("RMSProp", "Momentum", "Adam", "Adagrad", "Adadelta", "AdagradDA", "Ftrl")
_TF_STATE = (
    "global_step", "beta[12]_power", "*/beta[12]_power",
    *(f"*/{name}{more}" for name in _TF_OPTIMIZERS for more in ("", "_1", "_2")),
)  # fmt: skip
SLIM = Layout(
    kernel="{}/weights",
    bias="{}/BatchNorm/beta",
    mean="{}/BatchNorm/moving_mean",
    var="{}/BatchNorm/moving_variance",
    dense_kernel="{}/weights",
    dense_bias="{}/biases",
    dense_is_conv=True,
    training_state=_TF_STATE,
)


@dataclasses.dataclass(frozen=True)
class Input:
    """The images that a set of weights was trained on: (pixel / 255 - mean) / std.

    Attributes:
        mean, std: for each channel in the order of `channels`, of values in [0, 1].
        channels: "RGB" or "BGR".
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    channels: str = "RGB"

    @property
    def is_ours(self) -> bool:
        """Whether it is RGB in [-1, 1]."""
        return self == Input()

    def __str__(self) -> str:
        if self.is_ours:
            return "RGB in [-1, 1]"
        mean, std = (", ".join(f"{x:.4g}" for x in values) for values in (self.mean, self.std))
        return f"{self.channels}, (x - ({mean})) / ({std}) of x in [0, 1]"


IMAGENET_STATISTICS = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CAFFE_PIXELS = Input(
    mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255, 1 / 255, 1 / 255), channels="BGR"
)


@dataclasses.dataclass(frozen=True)
class Rules:
    """One source's weights of one network.

    Attributes:
        title: the code base, as in docs.
        model: the network of `models.create`.
        layers: names of its layers.
        layout: of their tensors.
        options: of the network, so that it computes what the source computes.
        input: what it was trained on.
        background: class 0 of a 1001-way classifier is "background" and dropped.
        crop: side of the central crop as a share of the resized image.
        interpolation: of the resizing.
        resize: how the image comes to the network's size.
        short_side: `resize` is `data.eval_resize` "short_side"; else it is "crop".
        note: what else a user should know.
    """

    title: str
    model: str
    layers: Names
    layout: Layout
    options: Mapping[str, Any]
    input: Input = Input()
    background: bool = False
    crop: float = 0.875
    interpolation: str = "bilinear"
    resize: str = ""
    short_side: bool = False
    note: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """Blocks that carry an auxiliary head in the source."""
        prefix = "AuxLogits_"
        return tuple(n.removeprefix(prefix) for n in self.layers if n.startswith(prefix))

    @property
    def _torch_strides(self) -> bool:
        return self.options.get("strided_padding") == "torch"

    def lines(self) -> list[str]:
        """The rules as printed on import."""
        options = self.options
        padding = "counts" if options["count_include_pad"] else "does not count"
        gamma = "with" if options["bn_scale"] else "without"
        lines = [
            f"network: {self.model}, as in {self.title}",
            f"average pooling: {padding} its padding",
            f"batch norm: {gamma} gamma, epsilon {options['bn_epsilon']:g}, "
            f"decay {options['bn_decay']:g}",
            *(["strides: padded as torch pads, on both sides"] if self._torch_strides else []),
            f"input: {self.input}",
            f"evaluation: {self.resize}, {self.interpolation}; central crop of {self.crop:g}",
        ]
        if self.background:
            lines.append("classes: of 1001, class 0 is background and not kept")
        return [*lines, *([self.note] if self.note else [])]


def _options(**changed: Any) -> dict[str, Any]:
    common = {
        "count_include_pad": True, "bn_scale": True, "bn_epsilon": 1e-3, "bn_decay": 0.9,
        "dropout": 0.2,
    }  # fmt: skip
    return {**common, **changed}


_NO_GAMMA = {"count_include_pad": False, "bn_scale": False}

TORCHVISION_V3 = Rules(
    "torchvision",
    "inception_v3",
    names.TORCH_V3,
    TORCH,
    _options(dropout=0.5),
    resize="short side to 342 px for 299",
    short_side=True,
    note="input: torchvision's own preprocessing is undone by its transform_input, which its "
    "pretrained weights switch on",
)
TIMM_V3 = Rules(
    "timm (tv_in1k, tf_in1k, tf_adv_in1k)",
    "inception_v3",
    names.TORCH_V3,
    TORCH,
    _options(dropout=0.0),
    background=True,
    interpolation="bicubic",
    resize="short side to 342 px for 299",
    short_side=True,
    note="only tv_in1k has an auxiliary head; for gluon_in1k, which has another input, the source "
    "is timm.gluon_in1k",
)
TIMM_GLUON_V3 = dataclasses.replace(
    TIMM_V3, title="timm (gluon_in1k)", input=IMAGENET_STATISTICS, note=""
)
KERAS_V3 = Rules(
    "Keras",
    "inception_v3",
    names.KERAS_V3,
    KERAS,
    _options(**_NO_GAMMA, bn_decay=0.99, dropout=0.0),
    resize="left to the user",
    note="Keras returns probabilities, ours are logits",
)
SLIM_V3 = Rules(
    "TF-slim",
    "inception_v3",
    names.SLIM_V3,
    SLIM,
    _options(**_NO_GAMMA, bn_decay=0.9997),
    background=True,
    resize="the crop resized to 299 px, aspect not kept",
)
TORCHVISION_GOOGLENET = Rules(
    "torchvision",
    "bn_googlenet",
    names.TORCH_GOOGLENET,
    TORCH,
    _options(
        body="ported",
        strided_padding="torch",
        aux={"sites": (), "pool": "adaptive", "dropout": 0.7},
    ),
    resize="short side to 256 px for 224",
    short_side=True,
    note="the heads in torchvision's file are not trained",
)
PORT_BN_INCEPTION = Rules(
    "the Caffe and PyTorch ports",
    "bn_inception",
    names.PORT_BN_INCEPTION,
    PORT,
    _options(body="pool128", strided_padding="torch", bn_epsilon=1e-5, bn_decay=0.1),
    input=CAFFE_PIXELS,
    resize="short side to 256 px for 224",
    short_side=True,
    note="the bias before each batch norm is folded into its mean",
)

# source -> network -> rules; the first network is the source's default
SOURCES: dict[str, dict[str, Rules]] = {
    "torchvision": {"inception_v3": TORCHVISION_V3, "googlenet": TORCHVISION_GOOGLENET},
    "timm": {"inception_v3": TIMM_V3},
    "timm.tv_in1k": {"inception_v3": TIMM_V3},
    "timm.tf_in1k": {"inception_v3": TIMM_V3},
    "timm.tf_adv_in1k": {"inception_v3": TIMM_V3},
    "timm.gluon_in1k": {"inception_v3": TIMM_GLUON_V3},
    "keras": {"inception_v3": KERAS_V3},
    "slim": {"inception_v3": SLIM_V3},
    "bninception": {"bn_inception": PORT_BN_INCEPTION},
}


def find(source: str, network: str | None = None) -> Rules:
    """The rules of a source's network; without `network` its first.

    Raises:
        UsageError: a source or network that is not in `SOURCES`; names the nearest.
    """
    if source not in SOURCES:
        raise errors.unknown("source of weights", source, SOURCES)
    known = SOURCES[source]
    if network is None:
        return next(iter(known.values()))
    by_model = {rules.model: rules for rules in known.values()}
    if network not in known and network not in by_model:
        raise errors.unknown(f"network of {source}", network, known)
    return known[network] if network in known else by_model[network]

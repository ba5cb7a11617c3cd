"""Where the paper and the public code part, point by point: what `page` prints.

Cells that a rule of `rules` or an option of the networks decides are not written here; they are
read from there, so that the page cannot say what the importer does not do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

CODES = ("slim", "torchvision", "timm", "keras")


@dataclasses.dataclass(frozen=True)
class Point:
    """One row of the page.

    Attributes:
        title: what it is about.
        paper: what the paper says.
        reason: why our default is what it is.
        ours: our default; read from `option` where that is given.
        codes: what each code base does; read from its rules where `option` is given.
        option: a field of `models.options.Options` that is also in the rules' options.
    """

    title: str
    paper: str
    reason: str
    ours: str = ""
    codes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    option: str = ""


def _same(text: str) -> dict[str, str]:
    return dict.fromkeys(CODES, text)


GRAPH: tuple[Point, ...] = (
    Point(
        "first convolutions",
        "Table 1: 3×3/2, 3×3, 3×3 padded, pool, 3×3 to 80, 3×3/2 to 192, 3×3 to 288",
        "`inception_v3` is the released graph, so that weights load; the paper's is "
        "`inception_v3_paper`, and with a 7×7 `inception_v2`",
        "as released",
        _same("3×3/2, 3×3, 3×3 padded, pool, 1×1 to 80, 3×3 to 192, pool"),
    ),
    Point(
        "5×5 at the 35 grid",
        "Fig. 5: two 3×3",
        "a swap away: `factorization.grid35 = stacked_3x3`; body `figure5` of the paper's networks "
        "is the drawing",
        "5×5 kept",
        _same("5×5 kept"),
    ),
    Point(
        "modules at the 35 grid",
        "three, 288 channels in",
        "as released; 288 in and out in the paper's networks",
        "192, 256, 288 in",
        _same("192, 256, 288 in"),
    ),
    Point(
        "modules at the 17 grid",
        "“5×”",
        "four with the reduction before them make five; body `five17` reads Table 1 literally",
        "4 and a reduction",
        _same("4 and a reduction"),
    ),
    Point(
        "activation between two factors",
        "ReLU (Fig. 2)",
        "the paper's finding; `factorization.SITE.activation = linear` is the other arm",
        "ReLU",
        _same("ReLU"),
    ),
    Point(
        "filters between two factors",
        "equal, or widening evenly (section 3.1)",
        "each module's own; `factorization.SITE.mid_filters = out` or `geometric` are the paper's "
        "two rules",
        "as released",
        _same("a width a module"),
    ),
    Point(
        "grid reductions",
        "Fig. 10: 1×1, 3×3, 3×3/2; 1×1, 3×3/2; pool",
        "as released; `grid_reduction = pool_conv` or `conv_pool` are Fig. 9's two",
        "as released",
        _same("at 35 the short branch without 1×1, at 17 the long one 1×1, 1×7, 7×1, 3×3/2"),
    ),
    Point(
        "first 7×7 of Inception-v2",
        "only that three 3×3 replace it",
        "it gives the 147×147×64 that Table 1 prints after the three 3×3",
        "stride 2, 64 filters, no padding",
        _same("no such network"),
    ),
    Point(
        "pooling in the last module",
        "not said",
        "the maximum there belongs to the FID network of 2015, which is another",
        "average",
        _same("average"),
    ),
    Point(
        "auxiliary head",
        "on the last 17 grid, batch norm in its layers",
        "asked for by name, so that its parameters are never a surprise; the configs of the "
        "paper's runs ask for it",
        "optional, at any block",
        {
            "slim": "always",
            "torchvision": "default",
            "timm": "optional; only `tv_in1k` has its weights",
            "keras": "none",
        },
    ),
    Point(
        "dropout in the head",
        "it or batch norm helps (section 4)",
        "`aux.dropout`, and `aux.batch_norm` and `aux.dense_batch_norm` for its layers",
        "none",
        {"slim": "none", "torchvision": "none", "timm": "none", "keras": "no head"},
    ),
    Point(
        "head below 299 px",
        "not said",
        "TF-slim's way, and said by `cost`, `train` and `models.notes`",
        "kernel shrinks",
        {"slim": "kernel shrinks", "torchvision": "fails", "timm": "fails", "keras": "no head"},
    ),
    Point(
        "what a call returns",
        "—",
        "a network whose output changes its type with its mode breaks training loops",
        "`Outputs(logits, aux)`, always",
        {
            "slim": "logits and endpoints",
            "torchvision": "a pair in training, logits else",
            "timm": "a pair where a head is on",
            "keras": "probabilities",
        },
    ),
)

LAYERS: tuple[Point, ...] = (
    Point(
        "average pooling counts its padding",
        "not said",
        "TensorFlow's rule, which the paper's weights were trained with",
        option="count_include_pad",
    ),
    Point(
        "batch norm's gamma",
        "not said",
        "what most users expect; the paper's configs switch it off as its code does",
        option="bn_scale",
    ),
    Point("batch norm's epsilon", "not said", "everyone's", option="bn_epsilon"),
    Point(
        "batch norm's decay",
        "not said",
        "0.9997 needs more than 10,000 steps to settle; the paper's configs set it",
        option="bn_decay",
    ),
    Point("dropout before the classifier", "not said", "the authors' code", option="dropout"),
    Point(
        "initial kernels",
        "not said",
        "TF-slim's; the 2016 trainer's truncated normal of sd 0.1 is `init = normal`",
        "He's, truncated",
        {
            "slim": "He's, truncated",
            "torchvision": "truncated normal, sd 0.1",
            "timm": "truncated normal, sd 0.1",
            "keras": "Glorot's, uniform",
        },
    ),
    Point(
        "initial sd of the head's 5×5",
        "not said",
        "TF-slim's; torchvision and timm set it on a wrapper that nothing reads",
        "0.01",
        {"slim": "0.01", "torchvision": "0.1, by a slip", "timm": "0.1, by a slip", "keras": "—"},
    ),
)

TRAINING: tuple[Point, ...] = (
    Point(
        "optimizer",
        "RMSProp: decay 0.9, epsilon 1.0",
        "the paper's, with the momentum 0.9 of its code; TensorFlow's form: epsilon in the root",
        "the paper's",
        {
            "slim": "RMSProp, epsilon 1.0",
            "torchvision": "RMSProp, epsilon 0.0316",
            "timm": "`rmsproptf`, no recipe",
            "keras": "the user's",
        },
    ),
    Point(
        "learning rate",
        "0.045 × 0.94 every 2 epochs",
        "the paper's",
        "the paper's",
        {
            "slim": "0.01 × 0.94 every 2 epochs",
            "torchvision": "no recipe",
            "timm": "no recipe",
            "keras": "the user's",
        },
    ),
    Point(
        "gradient clipping",
        "2.0",
        "the paper's, read as the global norm: it cites Pascanu et al.",
        "2.0",
        {"slim": "none", "torchvision": "optional", "timm": "optional", "keras": "the user's"},
    ),
    Point(
        "averaged parameters",
        "yes, decay not said",
        "the authors' code, batch statistics among them",
        "0.9999",
        {"slim": "optional", "torchvision": "optional", "timm": "optional", "keras": "the user's"},
    ),
    Point(
        "label smoothing",
        "0.1",
        "the paper's, on both heads",
        "0.1",
        {"slim": "0 by default", "torchvision": "optional", "timm": "0.1", "keras": "the user's"},
    ),
    Point(
        "weight decay",
        "not said",
        "the authors' code: L2 of kernels, before RMSProp",
        "4e-5",
        {"slim": "4e-5", "torchvision": "optional", "timm": "optional", "keras": "none"},
    ),
    Point(
        "weight of the auxiliary loss",
        "not said",
        "the authors' code",
        "0.4",
        {"slim": "0.4", "torchvision": "0.4 in a tutorial", "timm": "none", "keras": "no head"},
    ),
)

PUBLISHED: dict[str, str] = {
    "paper": "78.8 (48,238 images)",
    "slim": "78.0",
    "torchvision": "77.3",
    "timm": "77.5 to 78.8",
    "keras": "77.9",
}

# network, what it is called elsewhere, what is open and which option decides it
NETWORKS: tuple[tuple[str, str, str], ...] = (
    (
        "googlenet",
        "“Inception v1”",
        "as printed, with response normalisation and no batch norm; heads on 4a and 4d",
    ),
    (
        "bn_googlenet",
        "torchvision's `googlenet` and TF-slim's `inception_v1` are body `ported`",
        "the ports have 3×3 in the branch that the paper calls 5×5, a known slip, and a 2×2 "
        "pooling before 5a",
    ),
    (
        "bn_inception",
        "TF-slim's `inception_v2`, the ports' `bninception`",
        "the paper prints 128 filters at 4c and 4d beside a sum that needs 96: body `pool96` "
        "(TF-slim) or `pool128` (the ports); stem `conv7x7` or the paper's `separable7x7`",
    ),
    (
        "inception_v2",
        "nowhere",
        "Table 1 with a 7×7; not TF-slim's network of the same name",
    ),
    ("inception_v3_paper", "nowhere", "Table 1 as printed, widths as released"),
    (
        "inception_v3",
        "`inception_v3` in TF-slim, torchvision and timm, `InceptionV3` in Keras",
        "the same graph in all four",
    ),
)

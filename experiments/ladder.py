"""Table 3: what does each step from GoogLeNet to Inception-v3 gain?

The paper (Table 3, cumulative, top-1 error): GoogLeNet 29 %, BN-GoogLeNet 26.8, BN-Inception 25.2,
Inception-v2 23.4, + RMSProp 23.1, + label smoothing 22.8, + factorized 7x7 21.6, + BN-auxiliary
21.2. Each row is the one above and one change, so a change's gain is known only in that order.

The arms are the eight rows, and besides, the last row without one of its changes each: without
RMSProp, smoothing or the factorized stem (without BN-auxiliary it is the row above). Every arm has
its own learning rate, found first: three rates, one seed each, on a validation split. Metric:
accuracy after the last step. Rules: each row beats the one above; the last row beats itself without
a change. All ten questions share Holm's adjustment.

Fair, because the first three rows are the very networks at an eighth of their width, the others
have Inception-v3's depth and modules in proportion, and tuning budgets are equal. Not fair in that
the gains of the paper are 0.3 to 2 points after 100 epochs of ImageNet, and regularisers
(smoothing, the head) pay late: a ladder of short runs shows which networks learn fast. The networks
before Inception-v2 cost less, as in the paper: the table has the multiply-adds.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

import itertools
from typing import Any

from inception_jax import config as config_lib
from inception_jax.study.definition import Arm, Question, Search, Study
from inception_jax.study.scales import Scales

_SCALES = Scales(
    small={
        "mnist5k": {
            "data.image_size": 28,
            "data.validation_fraction": 0.1,
            "train.epochs": 2.0,
        },
        "photos": {"data.image_size": 32, "train.epochs": 4.0},
        "digits": {"data.image_size": 8, "data.validation_fraction": 0.1, "train.epochs": 10.0},
    },
    shared={
        "optim.weight_decay": 4e-5,
        "optim.clip_norm": 2.0,
        "optim.epsilon": 1.0,
        "train.eval_every_epochs": 2.0,
    },
    smoke={"model.width": 0.125},
    paper={"data.validation_fraction": 0.02},
)

_RATES = {"smoke": (0.03, 0.1), "default": (0.03, 0.1, 0.3), "paper": (0.0225, 0.045, 0.09)}

# name, label, the row's error in the paper, its change
_ROWS = (
    ("googlenet", "GoogLeNet", 29.0, ""),
    ("bn_googlenet", "BN-GoogLeNet", 26.8, "batch norm"),
    ("bn_inception", "BN-Inception", 25.2, "BN-Inception's modules"),
    ("inception_v2", "Inception-v2", 23.4, "Inception-v2's modules"),
    ("inception_v2_rmsprop", "+ RMSProp", 23.1, "RMSProp"),
    ("inception_v2_label_smoothing", "+ label smoothing", 22.8, "label smoothing"),
    ("inception_v2_factorized_7x7", "+ factorized 7×7", 21.6, "the factorized 7×7"),
    ("inception_v3", "+ BN-auxiliary = Inception-v3", 21.2, "BN-auxiliary"),
)
_LAST = _ROWS[-1][0]

_GOOGLENET: dict[str, Any] = {
    "model.width": 0.125,
    "model.stem_stride": 1,
    "model.dropout": 0.4,
    "model.aux.sites": ["Inception_4a", "Inception_4d"],
    "model.aux.dropout": 0.7,
    "loss.aux_weight": 0.3,
    "optim.name": "sgd",
}
_V2: dict[str, Any] = {
    "model.name": "inception_small",
    "model.body": "deep",
    "model.width": 0.375,
    "model.grid17_kernel": 7,
    "model.stem": "conv7x7",
    "model.aux.sites": ["Mixed_6e"],
    "model.aux.dense_batch_norm": False,
    "optim.name": "sgd",
}
_RMSPROP = {"optim.name": "rmsprop"}
_SMOOTHING = {"loss.label_smoothing": 0.1}
_FACTORIZED = {"model.stem": "chain3x3"}
_BN_AUX = {"model.aux.dense_batch_norm": True}


def _small_rows() -> dict[str, dict[str, Any]]:
    """The rows of configs/table3.py on small networks."""
    v3 = {**_V2, **_RMSPROP, **_SMOOTHING, **_FACTORIZED, **_BN_AUX}
    return {
        "googlenet": {**_GOOGLENET, "model.name": "googlenet"},
        "bn_googlenet": {**_GOOGLENET, "model.name": "bn_googlenet"},
        "bn_inception": {
            "model.name": "bn_inception",
            "model.width": 0.125,
            "model.stem_stride": 1,
            "optim.name": "sgd",
        },
        "inception_v2": _V2,
        "inception_v2_rmsprop": {**_V2, **_RMSPROP},
        "inception_v2_label_smoothing": {**_V2, **_RMSPROP, **_SMOOTHING},
        "inception_v2_factorized_7x7": {**_V2, **_RMSPROP, **_SMOOTHING, **_FACTORIZED},
        "inception_v3": v3,
        "no_rmsprop": {**v3, "optim.name": "sgd"},
        "no_smoothing": {**v3, "loss.label_smoothing": 0.0},
        "no_factorized_7x7": {**v3, "model.stem": "conv7x7"},
    }


def _paper_rows() -> dict[str, dict[str, Any]]:
    """The rows of configs/table3.py as they stand there."""
    rows = config_lib.load_module(config_lib.folder("configs") / "table3.py").ROWS
    v3 = rows[_LAST]
    return {
        **{name: _as_lists(overrides) for name, overrides in rows.items()},
        "no_rmsprop": _as_lists({**v3, "optim.name": "sgd"}),
        "no_smoothing": _as_lists({**v3, "loss.label_smoothing": 0.0}),
        "no_factorized_7x7": _as_lists({**v3, "model.name": "inception_v2"}),
    }


def _as_lists(overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides as JSON holds them."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in overrides.items()}


_LEFT_OUT = {
    "no_rmsprop": ("Inception-v3 without RMSProp", "RMSProp"),
    "no_smoothing": ("Inception-v3 without label smoothing", "label smoothing"),
    "no_factorized_7x7": ("Inception-v3 with the 7×7 stem", "the factorized 7×7"),
}


def _questions() -> tuple[Question, ...]:
    steps = [
        Question(
            "A18",
            f"With {change} a network scores more than the row above.",
            treatment=name,
            baseline=above,
            paper=f"{before:g} to {error:g} % error: {before - error:+.1f}",
            source="Table 3",
        )
        for (above, _, before, _), (name, _, error, change) in itertools.pairwise(_ROWS)
    ]
    left_out = [
        Question(
            "A18",
            f"Without {change} Inception-v3 loses accuracy.",
            treatment=_LAST,
            baseline=name,
            paper="no figure: the table is cumulative",
            source="Table 3",
        )
        for name, (_, change) in _LEFT_OUT.items()
    ]
    return (*steps, *left_out)


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    small = scale != "paper"
    rows = _small_rows() if small else _paper_rows()
    labels = {name: label for name, label, _, _ in _ROWS}
    labels |= {name: label for name, (label, _) in _LEFT_OUT.items()}
    return Study(
        name="ladder",
        title="Table 3, step by step",
        question="What does each step from GoogLeNet to Inception-v3 gain?",
        arms=tuple(Arm(name, labels[name], overrides) for name, overrides in rows.items()),
        questions=_questions(),
        search=Search("optim.learning_rate", _RATES[scale], seeds=1),
        fairness="the first three rows are the very networks at an eighth of their width, the "
        "others have Inception-v3's depth and modules in proportion, and each arm's rate was "
        "searched alike; but short runs show what learns fast, and regularisers pay late."
        if small
        else "",
        differs="every row has its own learning rate"
        + ("; a cosine schedule, small networks, few epochs." if small else "."),
        **_SCALES.place("ladder", scale, data),
    )

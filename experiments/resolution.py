"""How much does input resolution matter when the cost is held constant?

The paper (section 9, Table 2): the same body on 299, 151 and 79 px inputs, at nearly the same cost
because the first layer goes from stride 2 and a pool, to stride 1 and a pool, to stride 1 and no
pool: 76.6, 76.4 and 75.2 % top-1. So two questions: does more resolution gain anything, and does
less of it end "quite close", as the paper concludes? One can be supported and the other not. A
small image in the unchanged network would shrink the computation with it (16 times for a quarter of
the side) and compare unequals.

By default 96, 48 and 24 px views of the same 96 px patches of photographs; also 28/14/7 on mnist5k
and 299/151/79 on elpv and ImageNet. Fair, because every arm sees the same part of the same image,
only sampled more coarsely, through grids of the same size. Not fair in that all arms train equally
long (the paper trained each "until convergence" and says that low resolution takes longer), and
that texture is lost to blur sooner than the shape of objects.

Seeds: 8; 2 at the smoke scale, 4 at the paper's.
"""

from __future__ import annotations

from typing import Any

from inception_jax.study.definition import Arm, CostClaim, Question, Study, known_data

_SIZES: dict[str, tuple[int, int, int]] = {
    "photos": (96, 48, 24),
    "mnist5k": (28, 14, 7),
    "digits": (8, 4, 2),
    "elpv": (299, 151, 79),
    "imagenet2012": (299, 151, 79),
}
_DATA: dict[str, dict[str, Any]] = {
    "photos": {"data.options.patch_size": 96, "train.epochs": 4.0},
    "mnist5k": {"train.epochs": 3.0},
    "digits": {"train.epochs": 10.0},
    "elpv": {
        "data.augment": "flip",
        "data.batch_size": 32,
        "data.eval_batch_size": 64,
        "train.epochs": 3.0,
    },
    "imagenet2012": {},
}
_SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"model.width": 0.25, "train.max_steps": 20, "train.log_every_steps": 5},
    "default": {},
}

_FAIRNESS = (
    "all arms see the same part of the same image through grids of the same size, sampled more "
    "coarsely; but they train equally long, where the paper went on until convergence and found "
    "that low resolution takes longer."
)
_DIFFERS = (
    "all arms train for equally many epochs, the paper's each until convergence; {where} in place "
    "of Table 2's network, which the paper does not name (its 76.6 % is Table 3's Inception-v2)."
)
_PAPER = "the released Inception-v3 with RMSProp and its auxiliary head"
_MINIATURE = "a small network on {data}"

_QUITE_CLOSE = 0.02  # the paper's largest gap, 1.4 points, rounded up
_ALMOST_IDENTICAL = 0.125  # chosen knowing that the paper's own arms lie 6.2 % apart


def _arms(sizes: tuple[int, int, int]) -> tuple[Arm, ...]:
    large, medium, small = sizes

    def arm(name: str, label: str, size: int, stride: int, pool: bool) -> Arm:
        keys = {"data.image_size": size, "model.stem_stride": stride, "model.stem_pool": pool}
        return Arm(name, label, keys)

    return (
        arm("large", f"{large} px, stride 2, pool", large, 2, True),
        arm("medium", f"{medium} px, stride 1, pool", medium, 1, True),
        arm("small", f"{small} px, stride 1, no pool", small, 1, False),
        arm("medium_naive", f"{medium} px, network as for {large}", medium, 2, True),
        arm("small_naive", f"{small} px, network as for {large}", small, 2, True),
    )


def _questions(sizes: tuple[int, int, int]) -> tuple[Question, ...]:
    large, medium, small = sizes
    return (
        Question(
            "A15",
            f"At constant cost {large} px beats {medium} px.",
            treatment="large",
            baseline="medium",
            paper="299 against 151 px: 76.6, 76.4 %: +0.2",
            source="Table 2",
        ),
        Question(
            "A15",
            f"At constant cost {large} px beats {small} px.",
            treatment="large",
            baseline="small",
            paper="299 against 79 px: 76.6, 75.2 %: +1.4",
            source="Table 2",
        ),
        Question(
            "A15",
            f"{medium} px ends “quite close” to {large} px: within {100 * _QUITE_CLOSE:g} points.",
            treatment="medium",
            baseline="large",
            margin=_QUITE_CLOSE,
            paper="76.4, 76.6 %: −0.2",
            source="section 9, Table 2",
        ),
        Question(
            "A15",
            f"{small} px ends “quite close” to {large} px: within {100 * _QUITE_CLOSE:g} points.",
            treatment="small",
            baseline="large",
            margin=_QUITE_CLOSE,
            paper="75.2, 76.6 %: −1.4",
            source="section 9, Table 2",
        ),
        Question(
            "A16",
            f"At {medium} px, keeping the cost beats shrinking the network with its input.",
            treatment="medium",
            baseline="medium_naive",
            paper="no figure; unequal, as 4 times cheaper",
            source="section 9",
        ),
        Question(
            "A16",
            f"At {small} px, keeping the cost beats shrinking the network with its input.",
            treatment="small",
            baseline="small_naive",
            paper="no figure; unequal, as 16 times cheaper",
            source="section 9",
        ),
    )


def _cost_claims(sizes: tuple[int, int, int]) -> tuple[CostClaim, ...]:
    named = ", ".join(str(size) for size in sizes)
    return (
        CostClaim(
            "K11",
            f"The arms at {named} px cost nearly the same (our limit, set after counting: "
            f"{100 * _ALMOST_IDENTICAL:g} %).",
            paper="“almost identical”",
            source="section 9",
            quantity="spread",
            arms=("large", "medium", "small"),
            expected=(_ALMOST_IDENTICAL,),
        ),
    )


def get_study(scale: str = "default", data: str | None = None) -> Study:
    """The study at a scale, on its own data set or another."""
    name = "resolution"
    fallback = {"smoke": "digits", "default": "photos", "paper": "imagenet2012"}[scale]
    known = (
        ["imagenet2012"] if scale == "paper" else [key for key in _DATA if key != "imagenet2012"]
    )
    chosen = known_data(name, data or fallback, known)
    sizes = _SIZES[chosen]
    overrides = {} if scale == "paper" else {"data.name": chosen, **_DATA[chosen], **_SCALES[scale]}
    return Study(
        name=name,
        title="Resolution at constant compute",
        question="How much does a larger receptive field gain when the cost is held constant?",
        base="imagenet.py" if scale == "paper" else "mnist5k.py",
        data=chosen,
        scale=scale,
        arms=_arms(sizes),
        questions=_questions(sizes),
        costs=_cost_claims(sizes),
        overrides=overrides,
        seeds={"smoke": 2, "default": 8, "paper": 4}[scale],
        fairness="" if scale == "paper" else _FAIRNESS,
        differs=_DIFFERS.format(
            where=_PAPER if scale == "paper" else _MINIATURE.format(data=chosen)
        ),
        memory_gb=3.0 if chosen == "elpv" else 1.5,
    )

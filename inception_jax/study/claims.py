"""The claims that the software exists to check, and how several answers make one verdict.

A1 to A22 are measured, K1 to K12 are counted. The arms, the paper's figure and the decision rule of
each stand in the study that asks it, in `experiments/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inception_jax.study import definition
from inception_jax.study.definition import CostClaim, Question
from inception_jax.study.stats import Verdict

RULE = (
    "Where a claim has several parts, it is supported only if every part is, contradicted if any "
    "part is, and else inconclusive. A study that is not finished decides nothing yet."
)

PAPER_IMAGES = (
    "The paper's accuracies on ImageNet are of 48,238 validation images; on all 50,000 they would "
    "be lower, by 0.2 to 0.3 points of top-1 and 0.1 to 0.15 of top-5 (docs/imagenet.md)."
)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        id: "A1" to "A22" where it is measured, "K1" to "K12" where it is counted.
        text: the claim in a sentence.
        study: the one that decides it, of several that ask it; "" where only one does.
    """

    id: str
    text: str
    study: str = ""

    @property
    def counted(self) -> bool:
        """Whether it is decided by counting, without training."""
        return self.id.startswith("K")


_MEASURED = (
    "ReLU between the two factors of a convolution beats linear activation.",
    "Two 3×3 in place of a 5×5 lose nothing.",
    "1×n and n×1 work at grids of 12 to 20.",
    "1×n and n×1 do not work in early layers.",
    "At the 17 grid n = 7 is the choice.",
    "Asymmetric factors beat 2×2 ones for their cost.",
    "An auxiliary head does not speed the start of training, and gains at its end.",
    "GoogLeNet's lower auxiliary head can be removed without harm.",
    "Auxiliary heads regularise: they do better with batch norm or dropout.",
    "The parallel grid reduction avoids the bottleneck without the dear convolutions.",
    "Factorizing the stem's 7×7 gains accuracy.",
    "Label smoothing of 0.1 gains accuracy.",
    "RMSProp beats SGD with momentum.",
    "Expanded filter banks gain accuracy on the coarsest grid.",
    "At constant cost higher resolution gains accuracy, and lower ends quite close.",
    "Shrinking the network with its input is far worse than keeping the cost.",
    "Networks of lower resolution take longer to train.",
    "Every step from GoogLeNet to Inception-v3 gains accuracy.",
    "Evaluating more crops of an image gains accuracy.",
    "An ensemble of four networks beats a single one.",
    "Averaged parameters evaluate better than the last ones.",
    "Clipping the gradient at 2 keeps training stable.",
)
_COUNTED = (
    "A 5×5 costs 25/9 of a 3×3.",
    "Two 3×3 in place of a 5×5 save 28 %.",
    "3×1 and 1×3 in place of a 3×3 save 33 %.",
    "Two 2×2 in place of a 3×3 save 11 %.",
    "1×n and n×1 save the more, the larger n is.",
    "Pooling first costs a quarter of convolving first, which is three times dearer than both "
    "in parallel.",
    "Factorizing the stem's 7×7 takes the network from 3.8 to 4.8 Bn.",
    "The network costs 2.5 times GoogLeNet, and 2.5 times BN-Inception.",
    "The network is 42 layers deep.",
    "The grids and filters are those of Table 1.",
    "Inputs of 299, 151 and 79 px cost nearly the same.",
    "The network has fewer than 25 million parameters.",
)
_PRIMARY = {
    "A6": "asymmetric",  # in place of a 3x3, as in the paper
    "A17": "training_time",
    **{f"K{i}": "cost_claims" for i in range(1, 13)},
}

CLAIMS: tuple[Claim, ...] = tuple(
    Claim(f"{letter}{number}", text, _PRIMARY.get(f"{letter}{number}", ""))
    for letter, texts in (("A", _MEASURED), ("K", _COUNTED))
    for number, text in enumerate(texts, start=1)
)


def asked() -> dict[str, dict[str, tuple[Question | CostClaim, ...]]]:
    """Claim id -> study -> what that study asks of it at its default scale; the deciding first."""
    found: dict[str, dict[str, tuple[Question | CostClaim, ...]]] = {c.id: {} for c in CLAIMS}
    for name in definition.names():
        study = definition.load(name)
        for part in (*study.questions, *study.costs):
            studies = found.setdefault(part.claim, {})
            studies[name] = (*studies.get(name, ()), part)
    for claim in CLAIMS:
        studies = found[claim.id]
        if claim.study in studies:
            found[claim.id] = {claim.study: studies.pop(claim.study), **studies}
    return found


def verdict(parts: Iterable[Verdict]) -> Verdict:
    """The verdict of a claim from those of its parts: see `RULE`.

    Raises:
        ValueError: there are no parts.
    """
    found: Sequence[Verdict] = list(parts)
    if not found:
        raise ValueError("a claim without parts has no verdict")
    if "contradicted" in found:
        return "contradicted"
    return "supported" if set(found) == {"supported"} else "inconclusive"

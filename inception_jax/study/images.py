"""Two arms compared image by image, from the predictions that trials leave beside result.json.

The seed-level test asks whether one method beats another. McNemar's test asks whether one trained
network beats another on these images; the two-level bootstrap lets both seeds and images vary.
"""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.study import store, untrusted
from inception_jax.study.definition import Question, Study
from inception_jax.study.store import Trial

FILE = "predictions.npz"
_METRIC = re.compile(r"test_(ema_)?top([15])")
_CHUNK = 64  # bootstrap draws at once


@dataclass(frozen=True)
class ImageComparison:
    """What the images say about treatment minus baseline.

    Attributes:
        seeds: pairs of trials.
        images: of the test split.
        mean: difference of the shares that are right, over all pairs.
        low: lower end of the 95 % interval of `two_level`.
        high: its upper end.
        only_treatment: images that only the treatment has right, a pair on average.
        only_baseline: images that only the baseline has right.
        p: McNemar's exact two-sided p of each pair.
    """

    seeds: int
    images: int
    mean: float
    low: float
    high: float
    only_treatment: float
    only_baseline: float
    p: tuple[float, ...]

    @property
    def differing(self) -> int:
        """Pairs of networks that differ at 5 %."""
        return sum(p < 0.05 for p in self.p)


def mcnemar(treatment: np.ndarray, baseline: np.ndarray) -> float:
    """McNemar's exact test: two-sided p that as many images are right in one only as in the other.

    Args:
        treatment: bool[N], whether each image is right.
        baseline: bool[N], of the same images.

    Raises:
        ValueError: they are not of the same images.
    """
    if treatment.shape != baseline.shape or treatment.ndim != 1:
        raise ValueError(f"pairs need one shape, got {treatment.shape} and {baseline.shape}")
    from scipy import stats

    only, other = int((treatment & ~baseline).sum()), int((baseline & ~treatment).sum())
    return float(stats.binomtest(only, only + other).pvalue) if only + other else 1.0


def two_level(
    treatment: np.ndarray, baseline: np.ndarray, draws: int = 2000, alpha: float = 0.05
) -> tuple[float, float]:
    """Percentile interval of the mean difference when seeds and images are both drawn anew.

    Seeds and images are crossed (every network sees every image), so each draw takes seeds with
    replacement, images with replacement, and all of their pairs (Owen 2007, the pigeonhole
    bootstrap, which is conservative). With few seeds it says little about them: the t interval
    over seeds stands beside it.

    Args:
        treatment: bool[S, N], whether each image is right, by seed.
        baseline: bool[S, N], of the same seeds and images.
        draws: resamples.
        alpha: one minus the level.

    Returns:
        (low, high); the same for the same input.
    """
    difference = treatment.astype(np.float32) - baseline.astype(np.float32)
    seeds, images = difference.shape
    rng = np.random.default_rng(0)
    means: list[np.ndarray] = []
    for start in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - start)
        of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), count).astype(np.float32)
        of_images = rng.multinomial(images, np.full(images, 1 / images), count)
        means.append(((of_seeds @ difference) * of_images).sum(axis=1) / (seeds * images))
    low, high = np.quantile(np.concatenate(means), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def compare(treatment: np.ndarray, baseline: np.ndarray) -> ImageComparison:
    """Compares two arms; both are bool[S, N]: whether each image is right, by seed.

    Raises:
        ValueError: other seeds or images, or none.
    """
    if treatment.shape != baseline.shape or treatment.ndim != 2 or not treatment.size:
        raise ValueError(f"needs [seeds, images] twice, got {treatment.shape}, {baseline.shape}")
    low, high = two_level(treatment, baseline)
    return ImageComparison(
        seeds=len(treatment),
        images=treatment.shape[1],
        mean=float(treatment.mean() - baseline.mean()),
        low=low,
        high=high,
        only_treatment=float((treatment & ~baseline).sum(axis=1).mean()),
        only_baseline=float((baseline & ~treatment).sum(axis=1).mean()),
        p=tuple(mcnemar(*pair) for pair in zip(treatment, baseline, strict=True)),
    )


def read(folder: Path, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(int32[N] labels, bool[N] whether each is right) of a trial.

    None where the metric is not of single test images, or the trial left no such predictions:
    those of earlier versions have no ranks, from which only `test_top1` can be read.

    Args:
        folder: of the trial, or any with the file `train.run` or `evaluate --save` writes.
        metric: "test_top1", "test_top5", "test_ema_top1" or "test_ema_top5".
    """
    asked = _METRIC.fullmatch(metric)
    if asked is None:
        return None
    prefix, top = asked[1] or "", int(asked[2])
    if not untrusted.small_arrays(folder / FILE):
        return None
    try:
        with np.load(folder / FILE, allow_pickle=False) as found:
            label = found["label"]
            if f"{prefix}rank" in found:
                return label, found[f"{prefix}rank"] < top
            return (label, found["prediction"] == label) if metric == "test_top1" else None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def of_questions(
    root: Path, study: Study, trials: Sequence[Trial]
) -> tuple[ImageComparison | None, ...]:
    """The comparison of each question's two arms over the seeds that are done in both.

    None where a trial left no predictions, or the arms were not tested on the same images.
    """
    done = {(trial.arm, trial.seed) for trial in trials if trial.state == "done"}

    @functools.lru_cache(maxsize=4 * study.seeds)  # an arm is often asked about again
    def found(arm: str, seed: int, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
        return read(store.trial_folder(root, arm, seed), metric)

    def compared(question: Question) -> ImageComparison | None:
        arms, metric = (question.treatment, question.baseline), study.metric_of(question)
        seeds = [seed for seed in range(study.seeds) if all((arm, seed) in done for arm in arms)]
        right: dict[str, list[np.ndarray]] = {arm: [] for arm in arms}
        labels: Any = None
        for seed in seeds:
            for arm in arms:
                scores = found(arm, seed, metric)
                if scores is None or (labels is not None and not np.array_equal(labels, scores[0])):
                    return None
                labels = scores[0]
                right[arm].append(scores[1])
        return compare(*(np.stack(right[arm]) for arm in arms)) if seeds else None

    return tuple(compared(question) for question in study.questions)

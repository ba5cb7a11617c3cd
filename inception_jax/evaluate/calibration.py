"""How far a network's confidence is from how often it is right."""

from __future__ import annotations

import numpy as np

BINS = 15


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = BINS
) -> float:
    """Mean distance of accuracy and confidence over bins of equal width, weighted by their size.

    Bin m holds the examples whose confidence lies in ((m - 1) / bins, m / bins]; what is 0 is in
    the first (Naeini et al. 2015, Guo et al. 2017, who take 15 bins).

    Args:
        confidence: f[N], probability of the predicted class; NaN counts as 0.
        correct: bool[N], whether that is the true class.
        bins: their number.

    Returns:
        Between 0 (calibrated) and 1.
    """
    confidence = np.nan_to_num(confidence.astype(np.float64), nan=0.0)
    edges = np.linspace(0, 1, bins + 1)
    of_bin = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gap = np.bincount(of_bin, confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))

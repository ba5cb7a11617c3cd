"""Learning rates against the formulas they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from standin import config

from inception_jax import errors
from inception_jax.train import schedule


def rates(cfg, steps):
    return schedule.rates(cfg.optim, cfg.derived)[list(steps)]


def test_exponential_is_the_papers_staircase():
    cfg = config(optim__schedule="exponential", optim__learning_rate=0.045, train__epochs=9)
    # 8 steps an epoch: x 0.94 at steps 16, 32, ...
    wanted = 0.045 * 0.94 ** np.array([0, 0, 1, 1, 2, 4])
    np.testing.assert_allclose(rates(cfg, [0, 15, 16, 31, 32, 71]), wanted, rtol=1e-6)


def test_warm_up_is_linear_and_never_zero():
    cfg = config(optim__schedule="constant", optim__learning_rate=1.0, optim__warmup_epochs=0.5)
    np.testing.assert_allclose(rates(cfg, range(6)), [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-6)


def test_cosine_goes_from_the_peak_to_zero():
    cfg = config(optim__schedule="cosine", optim__learning_rate=2.0, optim__warmup_epochs=0.5)
    length = cfg.derived.steps - 4
    got = rates(cfg, [3, 4, 4 + length // 2])
    np.testing.assert_allclose(got, [2, 2, 1], atol=1e-6)
    assert 0 < rates(cfg, [cfg.derived.steps - 1])[0] < 0.05


def test_an_unknown_schedule_names_the_nearest():
    cfg = config(optim__schedule="cosin")
    with pytest.raises(errors.UsageError, match=r"'cosin'; did you mean 'cosine'"):
        schedule.rates(cfg.optim, cfg.derived)

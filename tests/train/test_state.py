"""The start of a run and its digest."""

from __future__ import annotations

import hashlib

import jax
import numpy as np
import pytest
from standin import SHAPE, Network, config

from inception_jax.train import state


def test_digest_is_sha256_of_the_documented_bytes():
    tree = {"b": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "a": np.int32(7)}
    wanted = hashlib.sha256()
    wanted.update(b"a <i4 ()\n" + np.int32(7).tobytes())
    wanted.update(b"b/kernel <f4 (2, 3)\n" + np.arange(6, dtype="<f4").tobytes())
    assert state.digest(tree) == wanted.hexdigest()


def test_digest_sees_every_path_type_shape_and_bit():
    base = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.int32)},
        {"a": np.full((2, 3), -0.0, np.float32)},
    ]
    assert len({state.digest(tree) for tree in [base, *others]}) == 5


def test_create_starts_averages_at_the_initial_values():
    start = state.create(Network(), config(optim__ema_decay=0.9), SHAPE)
    assert int(start.step) == 0
    assert state.digest(start.ema) == state.digest(start.variables)
    assert state.create(Network(), config(), SHAPE).ema is None


@pytest.mark.parametrize("name", ["rmsprop", "adamw"])
def test_a_state_drawn_leaf_by_leaf_has_the_programs_bits(name):
    cfg = config(optim__name=name, optim__ema_decay=0.9, seed=3)
    drawn = state.create(Network(), cfg, SHAPE)
    program = state.compiled(Network(), cfg, SHAPE)(state.key_data(3))
    assert state.digest(drawn) == state.digest(program)


def test_networks_without_batch_norm_have_empty_statistics():
    start = state.create(Network(batch_norm=False), config(), SHAPE)
    assert start.batch_stats == {}


def test_leaf_names_match_the_leaves():
    params = state.create(Network(), config(), SHAPE).params
    names = state.leaf_names(params)
    assert len(names) == len(jax.tree.leaves(params))
    assert "stem/kernel" in names


def test_forward_order_is_the_networks_not_the_alphabets():
    order = state.forward_order(Network(), SHAPE)
    assert [name.split("/")[0] for name in order[::2]] == ["stem", "norm", "aux", "logits"]

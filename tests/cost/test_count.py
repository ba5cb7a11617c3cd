"""Published totals, and XLA's own count."""

from __future__ import annotations

import flax.linen as nn
import pytest

from inception_jax import cost, errors, models

V3_BLOCKS = {  # million MACs at 299 px, computed from the layer table independently of this code
    "Conv2d_1a_3x3": 19.2, "Conv2d_2a_3x3": 199.1, "Conv2d_2b_3x3": 398.3, "Conv2d_3b_1x1": 27.3,
    "Conv2d_4a_3x3": 696.9, "Mixed_5b": 312.3, "Mixed_5c": 338.7, "Mixed_5d": 348.1,
    "Mixed_6a": 401.9, "Mixed_6b": 374.1, "Mixed_6c": 487.7, "Mixed_6d": 487.7, "Mixed_6e": 617.9,
    "Mixed_7a": 291.0, "Mixed_7b": 322.4, "Mixed_7c": 388.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "size", "params", "macs"),
    [
        ({}, 299, 23_834_568, 5_713_216_096),  # torchvision's and timm's published totals
        ({"aux": ("Mixed_6e",)}, 299, 27_161_264, 5_713_216_096 + 5_683_200),
        ({"stem_stride": 1}, 151, 23_834_568, 5_713_216_096),  # K11: exactly equal
        ({"stem_stride": 1, "stem_pool": False}, 79, 23_834_568, 5_361_703_520),
        ({"stem": "conv7x7"}, 299, 23_815_336, 5_299_886_272),
        ({"bn_scale": False}, 299, 23_817_352, 5_713_216_096),  # Keras's trainable parameters
    ],
)
def test_inception_v3_totals(overrides, size, params, macs):
    counted = cost.count(models.create("inception_v3", **overrides), size)
    assert (counted.params, counted.macs) == (params, macs)


def test_inception_v3_per_block():
    blocks = cost.count(models.create("inception_v3"), 299).blocks()
    counted = {b.name: round(b.macs / 1e6, 1) for b in blocks}
    assert {name: counted[name] for name in V3_BLOCKS} == V3_BLOCKS


def test_depth_of_the_released_graph():
    # 5 stem + 3x3 + 3 + 4x5 + 4 + 2x3 + 1 (facts/paper.md, 2.2): not the "42 layers" of the title
    assert cost.count(models.create("inception_v3"), 299).depth == 48


def test_receptive_field_of_the_released_graph():
    # published as 1311 px (Araujo et al., "Computing receptive fields", Distill 2019)
    assert cost.count(models.create("inception_v3"), 299).receptive_field == 1311


def test_layers_add_up_and_carry_their_parameters():
    counted = cost.count(models.create("inception_v3"), 299)
    assert sum(layer.macs for layer in counted.layers) == counted.macs
    assert len(counted.layers) == 95  # 94 convolutions and the classifier
    last = counted.layers[-1]
    assert (last.name, last.params, last.macs) == ("Logits", 2_049_000, 2_048_000)


def test_receptive_field_by_hand():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(4, (3, 3), strides=2)(x)
            x = nn.max_pool(x, (3, 3), (2, 2))
            return nn.Dense(3)(nn.Conv(4, (5, 3))(x).reshape(1, -1))

    counted = cost.count(Two(), 32)
    assert counted.receptive_field == 3 + 2 * 2 + 4 * 4
    assert counted.depth == 3


def test_too_small_an_image():
    with pytest.raises(errors.UserError, match="smallest that works is 75x75"):
        cost.count(models.create("inception_v3"), 74)

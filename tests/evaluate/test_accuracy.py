"""Every example counts once, whatever the batch, and only as what it is."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy.special import log_softmax
from sklearn.metrics import top_k_accuracy_score

from inception_jax import config as configs
from inception_jax.evaluate import accuracy
from inception_jax.train import losses, step
from inception_jax.train import mesh as meshes

CLASSES = 8


class Outputs(NamedTuple):
    """As `models.Outputs`."""

    logits: jax.Array
    aux: tuple[jax.Array, ...]


class Flatten(nn.Module):
    """Its logits are the first pixels."""

    classes: int = CLASSES

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Outputs:
        return Outputs(images.reshape(len(images), -1)[:, : self.classes], ())


def batches(images, labels, size):
    """Fixed-size batches; the padding would count as right answers if it were counted."""
    for start in range(0, len(labels), size):
        image, label = images[start : start + size], labels[start : start + size]
        missing = size - len(label)
        padding = np.zeros((missing, *images.shape[1:]), images.dtype)
        padding[:, 0, 0] = 255
        yield {
            "image": np.concatenate([image, padding]),
            "label": np.concatenate([label, np.zeros(missing, np.int32)]),
            "mask": np.arange(size) < len(label),
        }


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    images = np.stack([rng.permutation(256)[:16] for _ in range(107)]).reshape(-1, 4, 4, 1)
    return images.astype(np.uint8), rng.integers(0, CLASSES, 107).astype(np.int32)


def evaluate(images, labels, size=10, classes=CLASSES):
    mesh = meshes.create(configs.apply(configs.default(), {"data.eval_batch_size": size}))
    function = step.eval_step(Flatten(classes), mesh)
    return accuracy.evaluate(function, {}, batches(images, labels, size), mesh)


def test_scores_are_scikit_learns(examples):
    images, labels = examples
    scores = evaluate(images, labels)
    logits = images.reshape(107, -1)[:, :CLASSES] / 127.5 - 1
    assert len(scores) == 107
    for k in (1, 5):
        wanted = top_k_accuracy_score(labels, logits, k=k, labels=np.arange(CLASSES))
        assert scores.top(k) == wanted
    logp = log_softmax(logits, axis=-1)[np.arange(107), labels]
    np.testing.assert_allclose(scores.loss, -logp, rtol=1e-5)
    np.testing.assert_allclose(scores.summary()["loss"], -logp.mean(), rtol=1e-6)
    np.testing.assert_allclose(scores.probability, np.exp(logp), rtol=1e-5)
    np.testing.assert_array_equal(scores.prediction, logits.argmax(axis=-1))
    np.testing.assert_array_equal(scores.label, labels)


def test_the_batch_size_changes_nothing(examples):
    one, other = evaluate(*examples, size=10), evaluate(*examples, size=64)
    assert one.summary() == other.summary()


def test_top5_of_three_classes_is_top3(examples):
    images, labels = examples
    assert evaluate(images, labels % 3, classes=3).summary()["top5"] == 1.0


@pytest.mark.parametrize("prefix", ["", "ema_"])
def test_predictions_come_back_from_the_file(examples, tmp_path, prefix):
    scores, averaged = evaluate(*examples), evaluate(255 - examples[0], examples[1])
    kinds = {"": scores, "ema_": averaged}
    accuracy.save(tmp_path / "predictions.npz", scores, averaged if prefix else None)
    names = {"prediction", "rank", "probability"}
    with np.load(tmp_path / "predictions.npz") as found:
        assert set(found) == {"label"} | {p + n for p in {"", prefix} for n in names}
        for name in names:
            wanted = getattr(kinds[prefix], name)
            np.testing.assert_array_equal(found[prefix + name], wanted)
            assert found[prefix + name].dtype == wanted.dtype
        assert found["label"].dtype == np.int32


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match="no examples"):
        evaluate(np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int32))


def test_a_nan_is_a_wrong_answer(examples):
    broken = jnp.full((107, 4, 4, 1), jnp.nan)
    assert evaluate(np.asarray(broken), examples[1]).top(5) == 0.0


@pytest.mark.parametrize("classes", [2, 5, 7])
def test_a_nan_is_wrong_however_few_classes_there_are(classes):
    logits = jnp.full((3, classes), jnp.nan)
    assert (losses.rank(logits, jnp.zeros(3, jnp.int32)) >= max(classes, 5)).all()

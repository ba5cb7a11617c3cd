"""ImageNet end to end, on fakes with the real feature spec, in one process and in two."""

from __future__ import annotations

import fake_tfds  # pyright: ignore[reportMissingImports]
import pytest
import two_processes

from inception_jax import config as configs
from inception_jax.data import region

pytestmark = pytest.mark.slow

#: configs/imagenet.py, narrower, on smaller images and batches.
RECIPE = configs.keys(configs.load_file("configs/imagenet.py")) | {
    "data.image_size": 75, "data.batch_size": 8, "data.eval_batch_size": 8, "model.bn_group": 4,
    "data.threads": 2, "data.decoder": "opencv" if region.has_opencv() else "pil",
    "model.width": 0.0625, "train.epochs": 2.0, "train.checkpoint_every_steps": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    fake_tfds.write_imagenet(root)
    (root / "blacklist.txt").write_text("2\n3\n20\n")
    return root


def test_one_process_and_two_give_the_same(folder, tmp_path):
    recipe = RECIPE | {"data.dir": str(folder), "data.blacklist": str(folder / "blacklist.txt")}
    cache = tmp_path / "xla"
    one = two_processes.results(two_processes.start(recipe, [tmp_path / "one"], cache, 2))[0]
    folders = [tmp_path / "first", tmp_path / "second"]
    two, other = two_processes.results(two_processes.start(recipe, folders, cache))
    assert two == other
    assert two["params_sha256"] == one["params_sha256"]
    assert two["steps"] == 10
    assert two["data"]["num_classes"] == 1000
    about = two["data"]["blacklist"]
    assert (about["images"], about["found"], about["images_used"]) == (21, 3, 18)
    for name in ("top1", "kept_top1", "kept_loss", "ema_kept_top5"):
        assert two["metrics"][f"test_{name}"] == one["metrics"][f"test_{name}"]
    assert not folders[1].exists()

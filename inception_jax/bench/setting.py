"""What a benchmark measures, as both of its processes read it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from inception_jax import config as configs

# network -> image size px, batch size, channels, classes; others are measured as Inception-v3 is
_SIZES = {"inception_small": (28, 64, 1, 10)}
_PUBLISHED = (299, 8, 3, 1000)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One measurement.

    Attributes:
        measure: "train" or "eval".
        config: of the network, the batch and the optimizer.
        channels: of the images.
        num_classes: of the network.
        compiled: whether the opponent goes through torch.compile.
    """

    measure: str
    config: ConfigDict
    channels: int
    num_classes: int
    compiled: bool = False

    def to_json(self) -> str:
        """One line."""
        values = dataclasses.asdict(self) | {"config": self.config.to_dict()}
        return json.dumps(values)


def create(
    measure: str, network: str, overrides: Mapping[str, Any], *, compiled: bool = False
) -> Setting:
    """The setting of a network as it is measured, with a config's keys set.

    Raises:
        UsageError: a key or a value that does not exist.
    """
    size, batch, channels, classes = _SIZES.get(network, _PUBLISHED)
    chosen = {
        "model.name": network,
        "data.image_size": size,
        "data.batch_size": batch,
        "data.eval_batch_size": batch,
        "optim.name": "rmsprop",
        "optim.epsilon": 1.0,
    }
    config = configs.apply(configs.default(), chosen)
    config = configs.apply(config, overrides)
    config = configs.apply(config, {"data.eval_batch_size": config.data.batch_size})
    return Setting(measure, config, channels, classes, compiled)


def from_json(text: str) -> Setting:
    """What `Setting.to_json` wrote."""
    values = json.loads(text)
    return Setting(**values | {"config": configs.from_json(json.dumps(values["config"]))})

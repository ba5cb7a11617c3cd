"""A cache folder for the whole session, so that each data set is prepared once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from inception_jax import config as config_lib

sys.path.insert(0, str(Path(__file__).parent))  # for the stand-ins


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_config(cache):
    """Config with dotted overrides, reading and preparing data in the session's cache."""

    def make(**overrides):
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        base = {"data.dir": str(cache), "data.name": "digits", "data.image_size": 8}
        return config_lib.apply(config_lib.default(), base | named)

    return make

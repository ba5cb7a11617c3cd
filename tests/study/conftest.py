"""Studies whose trials are stand-ins."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from inception_jax import study
from inception_jax.study import launch, runner, store

sys.path.insert(0, str(Path(__file__).parent))  # the table of faults and the stand-ins
STAND_IN = (sys.executable, str(Path(__file__).parent / "stand_in.py"))


def count(root, described):
    """Stands in for counting costs, which needs jax."""
    rows = {
        arm.name: {"params": 50_000 + index, "macs": 9_000_000 - 700_000 * index}
        for index, arm in enumerate(described.arms)
    }
    store.write_json(root / "costs.json", rows)


class Bench:
    """One study folder, its planted faults and what was printed."""

    def __init__(self, folder: Path, arms: int = 5, seeds: int = 3) -> None:
        self.base = folder
        self.root: Path = folder / "study"
        whole = study.load("factorization", "smoke").with_seeds(seeds)
        names = {arm.name for arm in whole.arms[:arms]}
        asked = tuple(q for q in whole.questions if {q.treatment, q.baseline} <= names)
        self.study = dataclasses.replace(whole, arms=whole.arms[:arms], questions=asked)
        self.text = io.StringIO()

    def plant(self, **faults: str) -> None:
        named = {name.replace("__", "/seed-"): fault for name, fault in faults.items()}
        (self.base / "faults.json").write_text(json.dumps(named))

    def run(self, launcher: str = "local", **options) -> Path:
        given = {"jobs": 4, "command": STAND_IN} | options
        return runner.run_study(
            self.study,
            self.root,
            launch.create(launcher, **given),
            Console(file=self.text, width=100),
            count=count,
        )

    def tables(self) -> dict[str, str]:
        return {name: (self.root / name).read_text() for name in ("report.md", "trials.csv")}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def calm(tmp_path_factory):
    """The same study run without any fault."""
    found = Bench(tmp_path_factory.mktemp("calm"))
    found.run()
    return found

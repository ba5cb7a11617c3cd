"""Finished trials told to a tracker: TensorBoard's HParams, Weights & Biases, MLflow.

One function a tracker, in `TRACKERS`. A trial is told once, when it has its result; a file in its
folder remembers it, so that a study that goes on repeats none and catches up with what it missed. A
tracker that fails is left out with one line; the study's own folder has everything anyway.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from inception_jax import errors
from inception_jax.study import store
from inception_jax.study.definition import Study
from inception_jax.study.launch import Event, Job
from inception_jax.train import metrics as metrics_file


@dataclass(frozen=True)
class Run:
    """A finished trial, as trackers get it.

    Attributes:
        root: the study's folder.
        study: its name.
        arm: name of the arm.
        seed: its seed.
        settings: the keys in which arms differ, and arm and seed.
        metrics: of `result.json`.
        curve: the lines of metrics.jsonl.
    """

    root: Path
    study: str
    arm: str
    seed: int
    settings: Mapping[str, str | int | float | bool]
    metrics: Mapping[str, float]
    curve: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """Of the run, unique within the study."""
        return f"{self.arm}-seed-{self.seed}"

    def steps(self) -> list[tuple[int, dict[str, float]]]:
        """(step, {"test/top1": value}) of each line of the curve."""
        return [
            (
                line["step"],
                {
                    f"{line['split']}/{key}": float(value)
                    for key, value in line.items()
                    if key not in ("step", "split") and isinstance(value, int | float)
                },
            )
            for line in self.curve
            if isinstance(line.get("step"), int) and isinstance(line.get("split"), str)
        ]


def tensorboard(run: Run) -> None:
    """Curves and a row of the HParams table, in DIR/tensorboard."""
    from tensorboardX import SummaryWriter

    folder = str(run.root / "tensorboard" / run.name)
    with SummaryWriter(folder, write_to_disk=True) as writer:
        for step, values in run.steps():
            for key, value in values.items():
                writer.add_scalar(key, value, step)
        writer.add_hparams(dict(run.settings), dict(run.metrics), name="hparams")


def wandb(run: Run) -> None:
    """A run in the project of the study's name, in the group of its arm."""
    package: Any = importlib.import_module("wandb")
    with package.init(
        project=f"inception-jax-{run.study}",
        group=run.arm,
        name=run.name,
        config=dict(run.settings),
        dir=str(run.root),
        reinit=True,
    ) as told:
        for step, values in run.steps():
            told.log(values, step=step)
        told.summary.update(dict(run.metrics))


def mlflow(run: Run) -> None:
    """A run in the experiment of the study's name, in DIR/mlruns or at MLFLOW_TRACKING_URI."""
    package: Any = importlib.import_module("mlflow")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        package.set_tracking_uri((run.root / "mlruns").resolve().as_uri())
    package.set_experiment(f"inception-jax-{run.study}")
    with package.start_run(run_name=run.name):
        package.log_params(dict(run.settings))
        for step, values in run.steps():
            package.log_metrics({key.replace("/", "."): v for key, v in values.items()}, step=step)
        package.log_metrics(dict(run.metrics))


# name -> (what tells it of a run, the package it needs)
TRACKERS: dict[str, tuple[Callable[[Run], None], str]] = {
    "tensorboard": (tensorboard, "tensorboardX"),
    "wandb": (wandb, "wandb"),
    "mlflow": (mlflow, "mlflow"),
}


def parse(text: str | None) -> tuple[str, ...]:
    """The trackers of a comma-separated list.

    Raises:
        UsageError: one is unknown.
        UserError: the package of one is not installed.
    """
    names = tuple(filter(None, (text or "").split(",")))
    for name in names:
        if name not in TRACKERS:
            raise errors.unknown("tracker", name, TRACKERS)
        package = TRACKERS[name][1]
        if importlib.util.find_spec(package) is None:
            raise errors.UserError(f"--track {name} needs {package}: pip install {package}")
    return names


class Tracking:
    """Follows a launcher's events and tells trackers of finished trials.

    Args:
        root: the study's folder.
        study: as it runs.
        names: of `TRACKERS`.
        console: where to say that one failed.
    """

    def __init__(self, root: Path, study: Study, names: Sequence[str], console: Console) -> None:
        self._root, self._study, self._console = root, study, console
        self._names = list(names)
        self._keys = sorted({key for arm in study.arms for key in arm.overrides})

    def catch_up(self, done: Sequence[Job]) -> None:
        """Tells of trials that were finished before."""
        for job in done if self._names else ():
            self._tell(job)

    def __call__(self, event: Event | None) -> None:
        """Takes in one event."""
        if self._names and event is not None and event.kind == "done":
            self._tell(event.job)

    def _tell(self, job: Job) -> None:
        for name in list(self._names):
            mark = job.folder / f".tracked-{name}"
            if mark.exists():
                continue
            try:
                TRACKERS[name][0](self._run(job))
                with contextlib.suppress(OSError):
                    mark.touch()
            except Exception as error:  # whatever a tracker does, the study goes on
                self._names.remove(name)
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                self._console.print(
                    f"tracking with {name} failed ({reason[:200]}); the study goes on without it",
                    style="yellow",
                    highlight=False,
                    markup=False,
                )

    def _run(self, job: Job) -> Run:
        record = store.read_json(job.folder / store.RESULT_FILE)
        flat = store.flat(record["config"])
        settings = {key: flat.get(key, "") for key in self._keys}
        return Run(
            root=self._root,
            study=self._study.name,
            arm=job.arm,
            seed=job.seed,
            settings={"arm": job.arm, "seed": job.seed}
            | {k: v if isinstance(v, str | int | float) else str(v) for k, v in settings.items()},
            metrics={k: v for k, v in record["metrics"].items() if isinstance(v, int | float)},
            curve=metrics_file.read(job.folder / "metrics.jsonl"),
        )

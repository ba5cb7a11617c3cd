"""Trackers and the pages that are rebuilt while a study runs: told once, and never in the way."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from rich.console import Console

from inception_jax import errors
from inception_jax.bench import folder as simulated
from inception_jax.study import rebuilding, runner, tracking
from inception_jax.study.launch import Event, Job
from inception_jax.study.rebuilding import Rebuilder


def run(root: Path, *track: str, value=simulated.top1) -> str:
    console = Console(file=io.StringIO(), width=200)
    study = simulated.described(16).with_seeds(2)
    runner.run_study(
        study, root, simulated.Simulated(value), console, count=lambda *_: None, track=track
    )
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture
def told(monkeypatch):
    """Runs that a tracker called `list` was told of."""
    found: list[tracking.Run] = []
    monkeypatch.setitem(tracking.TRACKERS, "list", (found.append, "os"))
    return found


def test_every_trial_is_told_once_with_what_sets_it_apart(tmp_path, told):
    run(tmp_path / "s", "list")
    assert sorted(one.name for one in told) == [
        "rate_0-seed-0", "rate_0-seed-1", "rate_1-seed-0", "rate_1-seed-1",
    ]  # fmt: skip
    first = told[0]
    assert first.settings == {"arm": "rate_0", "seed": 0, "optim.learning_rate": 0.001}
    assert first.metrics["test_top1"] == simulated.top1(Job("rate_0", 0, tmp_path))
    assert first.steps()[0] == (10, {"test/epoch": 0.5, "test/top1": first.curve[0]["top1"]})
    run(tmp_path / "s", "list")
    assert len(told) == 4


def test_a_study_that_goes_on_catches_up(tmp_path, told):
    run(tmp_path / "s")
    run(tmp_path / "s", "list")
    assert len(told) == 4


def test_a_tracker_that_fails_is_one_line_and_stops_nothing(tmp_path, monkeypatch):
    def fail(run):
        raise ConnectionError("no [red]route[/]\nto host")

    monkeypatch.setitem(tracking.TRACKERS, "list", (fail, "os"))
    text = run(tmp_path / "s", "list")
    assert text.count("tracking with list failed (no [red]route[/])") == 1
    assert (tmp_path / "s" / "report.html").exists()
    assert not list(tmp_path.rglob(".tracked-*"))


def test_unknown_and_absent_trackers_are_one_clear_line(tmp_path, monkeypatch):
    with pytest.raises(errors.UsageError, match="did you mean 'wandb'"):
        runner.run("factorization", tmp_path / "x", track="wandbb")
    monkeypatch.setitem(tracking.TRACKERS, "wandb", (tracking.wandb, "no_such_package"))
    with pytest.raises(errors.UserError, match="--track wandb needs no_such_package: pip install"):
        runner.run("factorization", tmp_path / "x", track="wandb")
    assert not (tmp_path / "x").exists()
    assert tracking.parse(None) == ()


def test_tensorboard_gets_curves_and_hparams(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2, plugin_hparams_pb2

    run(tmp_path / "s", "tensorboard")
    own = tmp_path / "s" / "tensorboard" / "rate_1-seed-1"
    tags, hparams = set(), {}
    for file in own.rglob("events.*"):
        for event in records(file.read_bytes()):
            found = event_pb2.Event.FromString(event)  # pyright: ignore[reportAttributeAccessIssue]
            for value in found.summary.value:
                tags.add(value.tag)
                content = value.metadata.plugin_data.content
                if value.tag == "_hparams_/session_start_info":
                    data = plugin_hparams_pb2.HParamsPluginData.FromString(content)  # pyright: ignore[reportAttributeAccessIssue]
                    hparams = dict(data.session_start_info.hparams)
    assert {"test/top1", "test_top1", "_hparams_/experiment"} <= tags
    assert hparams["optim.learning_rate"].number_value == pytest.approx(0.002)
    assert hparams["arm"].string_value == "rate_1"


def records(data: bytes) -> list[bytes]:
    """The records of a TFRecord file."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 12 : at + 12 + size])
        at += size + 16
    return found


class Told:
    """Stands in for a run of wandb or of mlflow: notes what it is given."""

    def __init__(self):
        self.calls: list[tuple] = []
        self.summary: dict = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append(("end",))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **options: self.calls.append((name, args, options)) or self


def test_wandb_gets_a_run_with_its_config_curve_and_summary(tmp_path, monkeypatch):
    fake = Told()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run(tmp_path / "s", "wandb")
    begun = [options for name, _, options in filter(lambda c: c[0] == "init", fake.calls)]
    assert [one["group"] for one in begun] == ["rate_0", "rate_1"] * 2
    assert begun[1]["config"]["optim.learning_rate"] == 0.002
    logged = [call for call in fake.calls if call[0] == "log"]
    assert len(logged) == 4 * 10
    assert logged[0][2] == {"step": 10}
    assert "test_top1" in fake.summary
    assert fake.calls.count(("end",)) == 4


def test_mlflow_gets_params_and_metrics_beside_the_study(tmp_path, monkeypatch):
    fake = Told()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run(tmp_path / "s", "mlflow")
    named = {name: args for name, args, _ in (c for c in fake.calls if len(c) == 3)}
    assert named["set_tracking_uri"][0].endswith("/s/mlruns")
    assert named["set_experiment"] == ("inception-jax-folder",)
    assert "test.top1" in next(c for c in fake.calls if c[0] == "log_metrics")[1][0]
    assert fake.calls.count(("end",)) == 4


DONE = Event(Job("a", 0, Path()), "done")


def until(condition):
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def writer(tmp_path) -> tuple[str, ...]:
    """A report that leaves a mark in its folder each time."""
    code = "import sys, time; open(sys.argv[1] + '/pages', 'a').write('x'); time.sleep({})"
    return (sys.executable, "-c", code.format(0))


def test_pages_are_rebuilt_when_results_have_come(tmp_path, monkeypatch):
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(rebuilding, "time", clock)
    mark = tmp_path / "pages"
    with Rebuilder(tmp_path, writer(tmp_path), seconds=30) as pages:
        pages(DONE)  # too soon
        now[0] = 31.0
        pages(None)
        until(mark.exists)
        process = pages._process
        assert process is not None
        process.wait()
        now[0] = 33.0
        pages(None)  # it has ended after two seconds
        assert pages._process is None
        pages(DONE)
        now[0] = 33.0 + 39.0  # 20 times two seconds have not passed
        pages(None)
        assert mark.read_text() == "x"
        now[0] = 33.0 + 41.0
        pages(None)
        until(lambda: mark.read_text() == "xx")
        now[0] = 1000.0
        pages(None)
        now[0] = 9000.0
        pages(None)
        assert pages._process is None  # no news, no pages
    assert mark.read_text() == "xx"


def test_what_rebuilds_the_pages_neither_fails_nor_outlives_the_study(tmp_path):
    with Rebuilder(tmp_path, ("/no/such/program",), seconds=0) as pages:
        pages(DONE)
        assert pages._process is None
    hang = (sys.executable, "-c", "import time; time.sleep(600)")
    with Rebuilder(tmp_path, hang, seconds=0) as pages:
        pages(DONE)
        process = pages._process
        assert process is not None
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == rebuilding.NICE
        pages(DONE)
        assert pages._process is process  # one at a time
    assert process.poll() is not None


@pytest.mark.slow
def test_the_real_command_rebuilds_the_report(tmp_path):
    root = tmp_path / "s"
    run(root)
    (root / "report.html").unlink()
    subprocess.run([*rebuilding.COMMAND, str(root)], check=True, capture_output=True)
    assert (root / "report.html").exists()

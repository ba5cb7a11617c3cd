"""The best checkpoint, TensorBoard's events, the trace, and the share of the peak."""

from __future__ import annotations

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from standin import SHAPE, Network, config

from inception_jax import errors
from inception_jax.bench import peak
from inception_jax.evaluate.accuracy import Scores
from inception_jax.train import best, checkpoint, events, metrics, progress, recorder, state, trace
from inception_jax.train import mesh as meshes


def scores(right, loss=1.0):
    """Of ten examples, `right` of them ranked first."""
    zeros = np.zeros(10, np.int32)
    rank = np.where(np.arange(10) < right, 0, 7).astype(np.int32)
    return {"validation": Scores(zeros, zeros, zeros, np.full(10, loss, np.float32), rank)}


def offered(workdir, start, values, metric="top1", step=0):
    keeper = best.Best(workdir, metric, "validation", step)
    for at, value in values.items():
        moved = start.replace(step=start.step + at)
        keeper.offer(at, moved, value)
    keeper.finish()
    return keeper


@pytest.fixture(scope="module")
def start():
    return jax.device_get(state.create(Network(batch_norm=False), config(), SHAPE))


def test_the_best_stays_and_the_first_of_equals(tmp_path, start):
    values = {1: scores(3), 2: scores(6), 3: scores(6), 4: scores(5)}
    keeper = offered(tmp_path, start, values)
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["2"]
    found = checkpoint.Checkpoints(tmp_path / "best").restore(start)
    assert found is not None
    assert int(found[0].step) == 2
    assert keeper.about() == {"split": "validation", "metric": "top1", "value": 0.6, "step": 2}


def test_a_lower_loss_is_better(tmp_path, start):
    keeper = offered(tmp_path, start, {1: scores(0, 2.0), 2: scores(9, 2.5)}, "loss")
    about = keeper.about()
    assert about is not None
    assert about["step"] == 1


def test_a_run_that_goes_on_knows_what_was_best(tmp_path, start):
    file = metrics.MetricsFile(tmp_path / "metrics.jsonl", 0)
    for at, top1 in ((1, 0.3), (2, 0.8), (5, 0.9)):
        file.write({"step": at, "split": "validation", "top1": top1})
    keeper = offered(tmp_path, start, {4: scores(7)}, step=3)  # the line of step 5 is not yet
    assert keeper.about() == {"split": "validation", "metric": "top1", "value": 0.8, "step": 2}
    assert not (tmp_path / "best").exists()


def test_a_step_that_is_there_is_not_written_again(tmp_path, start):
    for _ in range(2):
        offered(tmp_path, start, {2: scores(6)})
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["2"]


def test_an_unknown_metric_is_one_line(tmp_path):
    with pytest.raises(errors.UsageError, match=r"did you mean 'top1'"):
        best.Best(tmp_path, "top_1", "validation", 0)


def read_events(folder):
    """(step, name, value) of every scalar, by TFRecord's framing and the published protocol."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for file in sorted(folder.iterdir()):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
            at += 16 + length
    return found


def test_events_are_the_lines_of_the_metrics_file(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = events.Events(tmp_path / "events", 0)
    file = metrics.MetricsFile(tmp_path / "m", 0, also=writer.write)
    file.write({"step": 7, "epoch": 0.5, "split": "train", "loss": 2.5, "grad_norm": 0.25})
    writer.close()
    assert read_events(tmp_path / "events") == [
        (7, "train/loss", 2.5),
        (7, "train/grad_norm", 0.25),
    ]


def test_a_trace_has_the_steps_that_were_asked_for(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    one = trace.Trace(tmp_path, first=1, count=2)
    for step in range(1, 9):
        one.before(step)
        calls.append(step)
        one.after(step, {})
    assert calls == [1, 2, 3, "start", 4, 5, "stop", 6, 7, 8]
    none = trace.Trace(tmp_path, first=1, count=0)
    none.before(4)
    none.close()
    assert calls.count("start") == 1


def test_speed_is_a_share_of_the_peak(tmp_path):
    cfg = config(train__log_every_steps=4, train__epochs=1)
    line = progress.Progress(cfg.derived.steps, shown=False)
    file = metrics.MetricsFile(tmp_path / "m", 0)
    record = recorder.Recorder(file, line, cfg, images_per_second_at_peak=1000.0)
    for step in range(1, 9):
        record.push(step, {"loss": jnp.float32(1), "top1": jnp.float32(0)})
    record.drain()
    last = metrics.read(tmp_path / "m")[-1]
    assert last["peak_share"] == pytest.approx(last["images_per_second"] / 1000, rel=1e-3, abs=1e-4)


def test_the_peak_is_positive_and_counted_over_all_devices(monkeypatch):
    monkeypatch.setattr(peak, "_SIDES", {"cpu": 64})
    assert peak.matrix_product_peak(meshes.create(config(parallel__devices=2))) > 0
    assert peak.training_flops(10) == 60

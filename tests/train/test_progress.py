"""The progress line."""

from __future__ import annotations

import io

import pytest

from inception_jax.train import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_a_file_gets_few_plain_lines(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    line = progress.Progress(41, stream=stream)
    for step in range(1, 42):
        line.update(step, step / 10, loss=0.5, top1=0.25, images_per_second=12.0)
        now[0] += 1.0
    line.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5  # at 0, 10, 20, 30 and 40 seconds, the last step among them
    assert lines[1] == "step 11/41  epoch 1.10  loss 0.500  top1 25.0 %  12 images/s  0:30 left"


def test_a_terminal_gets_one_line_redrawn(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = Terminal()
    line = progress.Progress(3, stream=stream)
    for step in (1, 2, 3):
        line.update(step, 1.0, loss=1.0, top1=0.0)
        now[0] += 1.0
    line.close()
    assert stream.getvalue().count("\r") == 3
    assert stream.getvalue().count("\n") == 1


def test_hidden_writes_nothing():
    stream = io.StringIO()
    progress.Progress(1, shown=False, stream=stream).update(1, 1.0, loss=1.0, top1=0.0)
    assert stream.getvalue() == ""


def test_an_evaluation_says_how_far_it_is(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    line = progress.Progress(41, stream=stream)
    seen = []
    for batch in line.follow("abcdefgh", 8, "evaluating test"):
        seen.append(batch)
        now[0] += 6.0
    assert "".join(seen) == "abcdefgh"
    assert stream.getvalue().splitlines() == [
        "evaluating test  batch 1/8  0:42 left",
        "evaluating test  batch 3/8  0:30 left",
        "evaluating test  batch 5/8  0:18 left",
        "evaluating test  batch 7/8  0:06 left",
    ]

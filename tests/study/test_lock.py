"""One driver a study: by the kernel's lock on a machine, by a lease between machines."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time

import pytest

from inception_jax import errors
from inception_jax.study import lock


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(lock, "_FIRST_SECONDS", 0.05)


def lease(**values):
    now = time.time()
    held = lock.Lease("t" * 32, "elsewhere/1234", 77, now - 100, now - 50, now)
    return dataclasses.replace(held, **values)


def leave(root, held):
    root.mkdir(exist_ok=True)
    (root / lock.LEASE_FILE).write_text(json.dumps(dataclasses.asdict(held)))


def test_the_lease_is_renewed_and_given_back(tmp_path):
    with lock.hold(tmp_path):
        first = json.loads((tmp_path / lock.LEASE_FILE).read_text())
        deadline = time.monotonic() + 60
        while json.loads((tmp_path / lock.LEASE_FILE).read_text())["beats"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        later = json.loads((tmp_path / lock.LEASE_FILE).read_text())
        assert later["token"] == first["token"]
        assert later["renewed"] > first["renewed"]
    assert not (tmp_path / lock.LEASE_FILE).exists()


def test_a_driver_on_another_machine_is_named_with_the_end_of_its_hold(tmp_path):
    leave(tmp_path, lease())
    with (
        pytest.raises(errors.UserError, match=r"process 77 on elsewhere, since .* ends in \d+ s"),
        lock.hold(tmp_path),
    ):
        pass
    assert json.loads((tmp_path / lock.LEASE_FILE).read_text())["process"] == 77


@pytest.mark.parametrize("age", [3600.0, -3600.0])
def test_a_lease_that_nobody_renews_is_taken_over_whatever_the_clocks_say(tmp_path, age):
    leave(tmp_path, lease(renewed=time.time() - age))
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / lock.LEASE_FILE).read_text())["token"] != "t" * 32


def test_a_lease_that_looks_old_but_is_renewed_is_alive(tmp_path, monkeypatch):
    old = lease(renewed=time.time() - 3600)
    leave(tmp_path, old)

    def meanwhile(seconds):
        leave(tmp_path, dataclasses.replace(old, renewed=old.renewed + seconds, beats=1))

    monkeypatch.setattr(lock.time, "sleep", meanwhile)
    with pytest.raises(errors.UserError, match="process 77 on elsewhere"), lock.hold(tmp_path):
        pass


def test_a_killed_driver_of_this_machine_blocks_nobody(tmp_path):
    leave(tmp_path, lease(host=lock._host(), process=2**22 + 1))
    with lock.hold(tmp_path):
        pass


def test_a_process_of_another_life_with_the_same_number_blocks_nobody(tmp_path):
    leave(tmp_path, lease(host=lock._host(), process=os.getpid(), born=1.0))
    with lock.hold(tmp_path):
        pass


def test_who_was_out_of_touch_stops_when_another_has_taken_over(tmp_path):
    def drive():
        with lock.hold(tmp_path):
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                leave(tmp_path, lease())
                time.sleep(0.02)

    with pytest.raises(errors.UserError, match=r"another .process 77 on elsewhere.*taken over"):
        drive()
    assert (tmp_path / lock.LEASE_FILE).exists()  # it is the other's


def test_it_stops_also_where_an_interrupt_is_ignored(tmp_path):
    def drive():
        with lock.hold(tmp_path) as held:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                leave(tmp_path, lease())
                held(None)
                time.sleep(0.02)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `command &` in a script
    try:
        with pytest.raises(errors.UserError, match="taken over"):
            drive()
    finally:
        signal.signal(signal.SIGINT, before)


def test_who_holds_a_study_is_what_its_lease_says_while_it_is_renewed(tmp_path):
    assert lock.holder(tmp_path) is None
    leave(tmp_path, lease())
    assert (held := lock.holder(tmp_path)) is not None
    assert held.process == 77
    leave(tmp_path, lease(renewed=time.time() - 3600))
    assert lock.holder(tmp_path) is None
    leave(tmp_path, lease(host=lock._host(), process=2**22 + 1))  # it was killed
    assert lock.holder(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1}', '{"host": "a"}'])
def test_a_lease_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / lock.LEASE_FILE).write_text(content)
    with lock.hold(tmp_path):
        pass

"""A study in a store that fsspec reaches: same layout, same table, nothing half sent."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time

import pytest
from conftest import Bench
from rich.console import Console

from inception_jax import errors
from inception_jax.study import child, lock, machine, remote, report, status, sync


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A bench whose study is behind a URL, and a cache of its own for the mirror."""
    monkeypatch.setenv("INCEPTION_JAX_CACHE", str(tmp_path / "cache"))
    bench = Bench(tmp_path / "mirrored", arms=2, seeds=2)
    bench.root = (tmp_path / "store" / "study").as_uri()
    return bench


def names(url):
    return sorted(remote.Remote(url).sizes())


def test_layout_and_table_are_those_of_a_plain_folder(stored, tmp_path, monkeypatch):
    plain = Bench(tmp_path / "plain", arms=2, seeds=2)
    plain.run(jobs=2)
    stored.run(jobs=2)
    there = {name for name in names(stored.root) if not name.startswith(".")}
    here = {
        path.relative_to(plain.root).as_posix()
        for path in plain.root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert there == here
    assert not remote.Remote(stored.root).read(".lease.json")
    # another machine, with a mirror of its own, reads and goes on
    monkeypatch.setenv("INCEPTION_JAX_CACHE", str(tmp_path / "elsewhere"))
    folder = sync.for_reading(stored.root)
    report.write(folder)
    for name in ("report.md", "trials.csv"):
        assert (folder / name).read_text() == (plain.root / name).read_text()
    stored.run(jobs=2)
    assert "all 4 trials are there already" in stored.text.getvalue()
    remote.Remote(stored.root).remove("trials/direct/seed-1/result.json")
    stored.run(jobs=2)
    assert "1 trials to run, 3 done before" in stored.text.getvalue()


def test_readers_leave_the_mirror_of_a_driver_alone_and_fetch_what_is_new(stored, monkeypatch):
    stored.run(jobs=2)
    mirror = remote.mirror(stored.root)
    ahead = mirror / "trials" / "direct" / "seed-1"
    remote.Remote(stored.root).remove("trials/direct/seed-1/result.json")  # not sent yet, say
    log = ahead / "log.txt"
    log.write_text("further than what was sent\n")
    folder = sync.for_reading(stored.root)
    assert (ahead / "result.json").exists()
    assert log.read_text() == "further than what was sent\n"
    assert not (folder / "trials" / "direct" / "seed-1" / "result.json").exists()
    fetched = []
    fetch = remote.Remote._fetch

    def note(self, name, target):
        fetched.append(name)
        fetch(self, name, target)

    monkeypatch.setattr(remote.Remote, "_fetch", note)
    sync.for_reading(stored.root)
    assert fetched == []
    remote.Remote(stored.root).write("trials/direct/seed-1/log.txt", b"longer by now\n")
    sync.for_reading(stored.root)
    assert fetched == ["trials/direct/seed-1/log.txt"]


def test_the_status_of_a_study_in_a_store_is_its_driver_s(stored):
    stored.run(jobs=2)
    study = remote.Remote(stored.root)
    study.remove("trials/direct/seed-1/result.json")

    def said():
        console = Console(file=io.StringIO(), width=200)
        status.show(sync.for_reading(stored.root), console, stored.root)
        return console.file.getvalue().splitlines()[-1]  # pyright: ignore

    study.remove("driver.json")
    assert said().endswith(f"to go on: inception-jax study factorization --workdir {stored.root}")
    now = time.time()
    held = lock.Lease("t" * 32, "elsewhere/1234", 77, now - 100, now - 50, now)
    study.write(lock.LEASE_FILE, json.dumps(dataclasses.asdict(held)).encode())
    assert said().startswith("running;")
    study.remove(lock.LEASE_FILE)
    assert said().startswith("interrupted;")


def test_a_member_named_by_a_store_cannot_lead_out_of_the_mirror(stored, tmp_path):
    stored.run(jobs=2)
    study = remote.Remote(stored.root)
    config = json.loads(study.read("trials/direct/seed-0/config.json") or b"")
    config["eval"]["members"] = [str(tmp_path / "outside")]
    study.write("trials/direct/seed-0/config.json", json.dumps(config).encode())
    with pytest.raises(errors.UserError, match="no name of an arm"):
        sync.open_trial(stored.root, "trials/direct/seed-0", first=True)
    with pytest.raises(errors.UserError, match="leads out of it"):
        study.fetch_light(tmp_path, "../outside")


def test_what_is_broken_or_foreign_in_the_store_runs_again(stored):
    stored.run(jobs=2)
    study = remote.Remote(stored.root)
    study.write("trials/direct/seed-1/result.json", b'{"config": {')
    config = json.loads(study.read("trials/stacked_3x3/seed-0/config.json") or b"")
    config["optim"]["learning_rate"] *= 2
    study.write("trials/stacked_3x3/seed-0/config.json", json.dumps(config).encode())
    stored.run(jobs=2)
    assert "2 trials to run, 2 done before" in stored.text.getvalue()
    assert "result.json is cut off" in stored.text.getvalue()
    held = names(stored.root)
    assert "trials/direct/seed-1/.result.json.aside-1" in held
    assert "trials/stacked_3x3/.seed-0.aside-1/config.json" in held


def test_a_result_is_sent_last_and_a_part_of_a_checkpoint_never(tmp_path):
    order = []

    class Slow(remote.Remote):
        def write(self, name, content):
            order.append(name)
            super().write(name, content)

    folder = tmp_path / "trials" / "a" / "seed-0"
    for name in ("result.json", "z.txt", ".hidden", "checkpoints/10/x", "checkpoints/20.tmp/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    study, sent = Slow((tmp_path / "store").as_uri()), {}
    sync.send(study, tmp_path, "trials/a/seed-0", sent)
    assert [name.removeprefix("trials/a/seed-0/") for name in order] == [
        "checkpoints/10/x", "z.txt", "result.json",
    ]  # fmt: skip
    sync.send(study, tmp_path, "trials/a/seed-0", sent)
    assert len(order) == 3  # nothing is sent twice
    (folder / "checkpoints" / "20.tmp").rename(folder / "checkpoints" / "20")
    (folder / "checkpoints" / "10" / "x").unlink()
    (folder / "checkpoints" / "10").rmdir()
    sync.send(study, tmp_path, "trials/a/seed-0", sent)
    held = [name for name in names(study.url) if "checkpoints" in name]
    assert held == ["trials/a/seed-0/checkpoints/20/x"]  # the store keeps as many as the trial


def test_a_worker_elsewhere_goes_on_from_the_checkpoint_that_was_sent(tmp_path, monkeypatch):
    url = (tmp_path / "store").as_uri()
    study = remote.Remote(url)
    study.write("trials/a/seed-0/config.json", b'{"seed": 0}')
    study.write("trials/a/seed-0/checkpoints/10/x", b"whole")
    monkeypatch.setenv("INCEPTION_JAX_CACHE", str(tmp_path / "worker"))
    script = "import pathlib, sys; f = pathlib.Path(sys.argv[1]); " + (
        "(f / 'result.json').write_text((f / 'checkpoints/10/x').read_text())"
    )
    work = child.Work("trials/a/seed-0", url, command=(sys.executable, "-c", script))
    ended = child.run(work, machine.Slot())
    assert (ended.code, ended.reason, ended.result) == (0, "", True)
    assert study.read("trials/a/seed-0/result.json") == b"whole"
    assert study.read("trials/a/seed-0/log.txt") == b""


def test_a_store_that_takes_nothing_more_is_a_failed_attempt(tmp_path, monkeypatch):
    url = (tmp_path / "store").as_uri()
    monkeypatch.setenv("INCEPTION_JAX_CACHE", str(tmp_path / "worker"))
    remote.Remote(url).write("trials/a/seed-0/config.json", b"{}")

    def full(self, name, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote.Remote, "write", full)
    work = child.Work("trials/a/seed-0", url, command=(sys.executable, "-c", ""))
    assert "No space left on device" in child.run(work, machine.Slot()).reason


def test_memory_is_a_store_too(tmp_path, monkeypatch):
    monkeypatch.setenv("INCEPTION_JAX_CACHE", str(tmp_path / "cache"))
    study = remote.Remote("memory://inception-jax-test/study")
    study.write("trials/a/seed-0/result.json", b"{}")
    study.write("study.json", b"{}")
    assert names(study.url) == ["study.json", "trials/a/seed-0/result.json"]
    study.pull(tmp_path)
    assert (tmp_path / "trials/a/seed-0/result.json").read_text() == "{}"
    study.set_aside("trials/a/seed-0")
    assert study.read("trials/a/seed-0/result.json") is None
    study.remove("")


@pytest.mark.parametrize("url", ["nosuchthing://bucket/x", "s3nope://x/y"])
def test_a_store_that_nobody_knows_is_one_line(url):
    with pytest.raises(errors.UserError, match=r"cannot reach .*; s3:// needs"):
        remote.Remote(url)


def test_names_that_leave_the_folder_are_passed_over():
    assert not remote._inside("../x")
    assert not remote._inside("a/../../x")
    assert remote._inside("trials/a/seed-0/result.json")

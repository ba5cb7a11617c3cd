"""Launcher x fault: nothing is lost, and the table is that of a calm run. See faults.py."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import faults
import psutil
import pytest
from conftest import Bench
from faults import FAULTS, LAUNCHERS

from inception_jax import errors
from inception_jax.study import files, needs, runner

CLUSTERS = bool(os.environ.get("INCEPTION_JAX_TEST_CLUSTERS"))
GATE = pytest.mark.skipif(not CLUSTERS, reason="set INCEPTION_JAX_TEST_CLUSTERS=1")
OPTIONS = {"local": {}, "slurm": {"slurm": "cluster=local"}, "ray": {}}
QUICK = {("local", "killed"), ("local", "second")}  # the rest is slow
DRIVER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_faults import disturbed
from inception_jax import errors
try:
    disturbed(Path({base!r})).run({launcher!r}, **json.loads({options!r}))
except errors.UserError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def disturbed(folder: Path) -> Bench:
    """Two arms, two seeds."""
    return Bench(folder, arms=2, seeds=2)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The tables of a calm run."""
    bench = disturbed(tmp_path_factory.mktemp("quiet"))
    bench.run("local", jobs=2)
    return bench.tables()


@pytest.fixture(scope="module")
def own_ray():
    """A Ray that the cells of this file share."""
    import ray  # pyright: ignore[reportMissingImports]

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray.init(
        address="local", num_cpus=4, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    yield
    ray.shutdown()


def until(condition, seconds=400.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def started(request, bench, launcher, **options) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    code = DRIVER.format(
        here=str(Path(__file__).parent), base=str(bench.base), launcher=launcher,
        options=json.dumps(options),
    )  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def end():
        if process.poll() is None:
            kill_tree(psutil.Process(process.pid))
            process.communicate()

    request.addfinalizer(end)
    return process


def marks(bench, name) -> list[Path]:
    return sorted((bench.root / "trials").glob(f"*/seed-*/{name}"))


def strike(action) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def heals(bench, fault, launcher, options):
    if fault.name == "preempted":
        thread = strike(lambda: preempt(bench, launcher))
        bench.run(launcher, **options)
        thread.join(60.0)
        assert not thread.is_alive()
    else:
        bench.run(launcher, **options)
    assert fault.reason in " ".join(bench.text.getvalue().split())


def preempt(bench, launcher):
    until(lambda: marks(bench, "amid") and marks(bench, "amid")[0].read_text())
    trial = psutil.Process(int(marks(bench, "amid")[0].read_text()))
    if launcher == "slurm":
        trial.parent().send_signal(signal.SIGUSR2)  # its submitit task  # pyright: ignore
    else:
        trial.send_signal(signal.SIGTERM)


def reported(bench, fault, launcher, options, monkeypatch):
    if fault.name == "full":
        write, full = files.write_text, [True]

        def no_room(path, text):
            if path.name == "failure.json" and full:
                raise OSError(28, os.strerror(28))
            write(path, text)

        monkeypatch.setattr(files, "write_text", no_room)
    with pytest.raises(runner.TrialsFailed) as caught:
        bench.run(launcher, **options)
    assert fault.reason in str(caught.value)
    assert "1 of 4 trials failed twice" in str(caught.value)
    csv = (bench.root / "trials.csv").read_text()
    assert csv.count(",done,") == 3
    if fault.name != "full":  # there it could not be noted
        assert "direct,1,failed" in csv
        assert fault.reason.split(":")[0] in (bench.root / "report.html").read_text()
    kept = {path: path.stat().st_mtime_ns for path in marks(bench, "result.json")}
    monkeypatch.undo()
    bench.plant()
    bench.run(launcher, **options)
    assert "1 trials to run, 3 done before" in bench.text.getvalue()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def node(bench, launcher, options, request):
    if launcher == "ray":
        lose_ray_node(bench, options, request)
    elif launcher == "slurm":
        thread = strike(lambda: kill_tree(_controller(bench)))
        bench.run(launcher, **options)
        thread.join(60.0)
    else:
        driver = started(request, bench, launcher)
        until(lambda: marks(bench, "amid") and marks(bench, "amid")[0].read_text())
        kill_tree(psutil.Process(driver.pid))
        driver.communicate()
        bench.run(launcher, **options)
    found = [path.read_text() for path in marks(bench, "went-on-from")]
    assert found == ["10"]


def _controller(bench) -> psutil.Process:
    """The process of submitit's local executor above the trial that is amid a checkpoint."""
    until(lambda: marks(bench, "amid") and marks(bench, "amid")[0].read_text())
    task = psutil.Process(int(marks(bench, "amid")[0].read_text())).parent()
    assert task is not None
    return task.parent() or task


def kill_tree(process: psutil.Process) -> None:
    for each in (process, *process.children(recursive=True)):
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def lose_ray_node(bench, options, request):
    import ray  # pyright: ignore[reportMissingImports]
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    if ray.is_initialized():
        ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    request.addfinalizer(cluster.shutdown)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()

    removed: list[object] = []

    def remove():
        until(lambda: marks(bench, "amid") and marks(bench, "amid")[0].read_text())
        above = psutil.Process(int(marks(bench, "amid")[0].read_text())).parents()
        ids = {process.pid for process in above}
        for each in nodes:
            if {info.process.pid for infos in each.all_processes.values() for info in infos} & ids:
                cluster.remove_node(each, allow_graceful=False)
                removed.append(each)
                return

    thread = strike(remove)
    bench.run("ray", **options, address=cluster.address)
    thread.join(60.0)
    assert not thread.is_alive()
    assert len(removed) == 1


def wait_amid(bench, process):
    """Until two trials are finished and two wait."""

    def there():
        assert process.poll() is None, process.communicate()
        return len(marks(bench, "result.json")) == 2 and len(marks(bench, "tried")) == 4

    until(there)


def driver(bench, launcher, options, request):
    process = started(request, bench, launcher, **options)
    wait_amid(bench, process)
    running = [int(path.read_text()) for path in marks(bench, "tried")]
    kept = {path: path.stat().st_mtime_ns for path in marks(bench, "result.json")}
    process.kill()
    process.wait()  # its output stays open where jobs go on
    assert process.stdout is not None
    process.stdout.close()
    if launcher == "slurm":
        assert sum(map(psutil.pid_exists, running)) >= 2  # they go on
    else:
        until(lambda: all(gone(trial) for trial in running))
    (bench.base / "go").touch()
    bench.run(launcher, **options)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    if launcher == "slurm":  # taken over, not run again
        assert sorted(running) == sorted(int(path.read_text()) for path in marks(bench, "tried"))


def gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def second(bench, fault, launcher, options, request):
    process = started(request, bench, launcher, **options)
    wait_amid(bench, process)
    before = _written(bench)
    with pytest.raises(errors.UserError) as caught:
        disturbed(bench.base).run(launcher, **options)
    assert str(caught.value).startswith(f"{fault.reason}{process.pid} on ")
    assert _written(bench) == before
    (bench.base / "go").touch()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert not (bench.root / ".lease.json").exists()


def _written(bench):
    """What a driver writes, with the time of each file."""
    files = [bench.root / "study.json", *marks(bench, "*.json")]
    return [(path, path.stat().st_mtime_ns) for path in files]


def cell(fault, launcher):
    marks = [] if (launcher, fault.name) in QUICK else [pytest.mark.slow]
    if launcher == "ray":
        marks += [pytest.mark.clusters, GATE]
    return pytest.param(fault, launcher, id=f"{fault.name}-{launcher}", marks=marks)


@pytest.mark.filterwarnings("default")  # Ray's and submitit's own
@pytest.mark.skipif(sys.platform != "linux", reason="Linux ties processes to each other")
@pytest.mark.parametrize(
    ("fault", "launcher"), [cell(fault, name) for name in LAUNCHERS for fault in FAULTS]
)
def test_nothing_is_lost(tmp_path, quiet, fault, launcher, request, monkeypatch):
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}.get(launcher, "psutil"))
    bench = disturbed(tmp_path)
    names = ("direct__1", "stacked_3x3__1") if fault.plant == "wait" else ("direct__1",)
    here = fault.plant == "worker-once" and launcher == "local"  # its worker is the driver
    bench.plant(**dict.fromkeys(names, "kill-once" if here else fault.plant))
    options = {"memory_gb": 0.3, "jobs": 4, **OPTIONS[launcher], **fault.options}
    if "needs" in options:
        options["needs"] = needs.parse(options["needs"])
    if launcher == "ray" and fault.kind in ("heals", "reported"):
        request.getfixturevalue("own_ray")
    if fault.kind == "heals":
        heals(bench, fault, launcher, options)
    elif fault.kind == "reported":
        reported(bench, fault, launcher, options, monkeypatch)
    elif fault.kind == "node":
        node(bench, launcher, {**options, "jobs": 1 if launcher == "ray" else 4}, request)
    elif fault.kind == "driver":
        driver(bench, launcher, options, request)
    else:
        second(bench, fault, launcher, options, request)
    assert bench.tables() == quiet


def test_the_page_is_written_from_the_table():
    assert faults.PAGE.read_text(encoding="utf-8") == faults.page(), "python tests/study/faults.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "launcher",
    [
        "slurm",
        pytest.param(
            "ray",
            marks=pytest.mark.skipif(not CLUSTERS, reason="set INCEPTION_JAX_TEST_CLUSTERS=1"),
        ),
    ],
)
def test_a_study_begun_here_is_finished_elsewhere(tmp_path, quiet, launcher, request):
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}[launcher])
    bench = disturbed(tmp_path)
    bench.plant(direct__1="wait", stacked_3x3__1="wait")
    process = started(request, bench, "local", jobs=4)
    wait_amid(bench, process)
    kept = {path: path.stat().st_mtime_ns for path in marks(bench, "result.json")}
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    (bench.base / "go").touch()
    bench.run(launcher, memory_gb=0.3, jobs=2, **OPTIONS[launcher])
    assert "2 trials to run, 2 done before" in bench.text.getvalue()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert bench.tables() == quiet

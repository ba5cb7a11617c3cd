"""Study folders from elsewhere are data: nothing in them runs, nothing leads out of them."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from inception_jax import errors
from inception_jax.bench import folder as simulated
from inception_jax.cli import main
from inception_jax.study import (
    attempt,
    definition,
    images,
    outcomes,
    progress,
    report,
    runner,
    status,
    store,
    tables,
    terminal,
    trial,
    untrusted,
)
from inception_jax.study.definition import CostClaim

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202eevil"
MARKUP = "[bold red]x[/] <script>alert(1)</script> $\\frac$ =cmd|'/c calc'!A0 \\input{/etc/passwd}"


@pytest.fixture
def root(tmp_path):
    """A study of two arms with two seeds, all done."""
    folder = tmp_path / "study"
    described = store.register(folder, simulated.described(16).with_seeds(2))
    for job in runner._jobs(folder, described, Console(file=io.StringIO()))[0]:
        simulated.write(job, simulated.top1(job))
    return folder


def change(path: Path, edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def shown(root: Path) -> tuple[str, str]:
    """Everything about the study that is printed on the terminal, and that is written to files."""
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    summary, page = report.write(root)
    terminal.show(summary, console)
    status.show(root, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    pages = [page.read_text(), *((root / name).read_text() for name in ("report.md", "table.tex"))]
    plots = [path.read_text() for path in sorted((root / "plots").glob("*.svg"))]
    return file.getvalue(), "\n".join([*pages, *plots])


def test_texts_are_printed_not_obeyed(root):
    def edit(study):
        study["title"] = study["question"] = MARKUP + ESCAPE
        study["fairness"] = study["differs"] = MARKUP + "\n" + ESCAPE
        study["arms"][0]["label"] = MARKUP + ESCAPE
        study["questions"][0]["statement"] = study["questions"][0]["paper"] = MARKUP + ESCAPE

    change(root / "study.json", edit)
    failed = root / "trials" / "rate_1" / "seed-1"
    (failed / "result.json").unlink()
    reason = {"reason": "=HYPERLINK(1)" + MARKUP + ESCAPE, "attempt": 2}
    (failed / "failure.json").write_text(json.dumps(reason))
    printed, written = shown(root)
    assert not untrusted._CONTROL.search(printed + written)
    assert "<script>alert" not in written
    assert "[bold red]x[/]" in printed
    first, *rest = (root / "table.tex").read_text().splitlines()
    assert first.startswith("% ")  # a comment, which its own line ends cannot leave
    assert first.endswith("written by `inception-jax report`")
    assert not [line for line in rest if "\\input{" in line]
    rows = list(csv.reader(io.StringIO((root / "trials.csv").read_text())))
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@")]
    assert any(cell.startswith("'=HYPERLINK") for row in rows for cell in row)


def test_the_log_of_a_trial_cannot_drive_the_terminal(tmp_path):
    (tmp_path / "log.txt").write_text("fine\n" + ESCAPE + "\n")
    found = attempt.last_line(tmp_path / "log.txt")
    assert not untrusted._CONTROL.search(found)
    assert "evil" in found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arms", [{"name": "../../escape", "label": "x", "overrides": {}}]),
        ("arms", [{"name": "..", "label": "x", "overrides": {}}]),
        ("arms", [{"name": "/etc", "label": "x", "overrides": {}}]),
        ("arms", [{"name": "a", "label": ["x"], "overrides": {}}]),
        ("arms", [{"name": "a", "label": "x", "overrides": {}, "members": ["../b"]}]),
        ("arms", [{"name": "a", "label": "x", "overrides": {}, "code": "import os"}]),
        ("arms", 3),
        ("seeds", 10**9),
        ("seeds", "8"),
        ("seeds", -1),
        ("title", {"a": 1}),
        ("title", "x" * 30_000),
        ("memory_gb", 1e300),
        ("questions", [{"claim": "A", "statement": "", "treatment": "../x", "baseline": "y"}]),
        ("search", {"key": "a", "values": "b"}),
        ("early", {"looks": [2, 1], "spending": "all"}),
    ],
)
def test_a_study_that_is_none_is_one_clear_line(root, capsys, field, value):
    change(root / "study.json", lambda study: study.update({field: value}))
    for words in (["report", str(root)], ["study", "all", "--status", "--workdir", str(root)]):
        assert main(words) == 1
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(errors.UserError, match="not a study's description"):
        store.read_study(root)


@pytest.mark.parametrize(
    "form", ["{0.__class__.__mro__}", "{:>999999999}", "{0[a]}", "{:{0}}", "{!r}", "{{{}"]
)
def test_a_form_may_only_print_numbers(form):
    with pytest.raises(ValueError, match="may only print numbers"):
        CostClaim("K1", "", "", "", "counted", (1.0,), measure="x", form=form)


def test_the_forms_that_studies_use_are_fine():
    assert sum(len(definition.load(name).costs) for name in definition.names()) > 10


@pytest.mark.parametrize(
    "content",
    [
        b'{"config": ' * 100_000,
        b'{"config": {}, "metrics": {"test_top1": 1' + b"0" * 400 + b"}}",
        b'{"config": {}, "metrics": {"test_top1": 1' + b"0" * 9000 + b"}}",
        b"\xff\xfe\x00",
        pickle.dumps({"config": {}}),
        b"__import__('os').system('touch owned')",
        b'{"config": {}, "metrics": {}, "steps": 1, "params_sha256": "", "seconds": NaN, '
        b'"versions": {}, "commit": null}',
        b'{"config": {}, "metrics": {"a": Infinity}, "steps": 1, "params_sha256": "", '
        b'"seconds": 1, "versions": {}, "commit": null}',
    ],
)
def test_a_result_that_is_none_is_reported_as_broken(root, content):
    (root / "trials" / "rate_1" / "seed-1" / "result.json").write_bytes(content)
    found = store.read_trials(root, store.read_study(root))
    assert [one.state for one in found] == ["done", "done", "done", "broken"]
    assert "rate_1 seed 1 broken: result.json" in tables.summarise(root).warnings[0]
    assert not Path("owned").exists()


def test_odd_values_in_a_result_change_no_more_than_its_facts(root):
    odd = {"commit": "x" * 10**6, "machine": {"cpu": [[[["deep"]]]], "cores": 10**18}}
    odd |= {"started": {"a": 1}, "finished": 5, "versions": {"jax": None}}
    path = root / "trials" / "rate_1" / "seed-1" / "result.json"
    change(path, lambda result: result.update(odd))
    assert max(len(text) for _, text in tables.summarise(root).facts) < 5000
    assert len(report.trials_csv(tables.summarise(root))) < 10_000


def test_files_that_are_too_large_are_not_read(root, monkeypatch):
    path = root / "trials" / "rate_1" / "seed-1" / "result.json"
    with path.open("ab") as file:
        file.truncate(untrusted.MAX_JSON + 1)  # sparse
    assert store.read_json(path) is None
    metrics = path.with_name("metrics.jsonl")
    with metrics.open("ab") as file:
        file.truncate(untrusted.MAX_LINES + 1)
    assert store.read_curve(path.parent, "test", "top1") == []
    assert progress.reading(path.parent) == (None, None)


def test_pipes_and_devices_are_not_waited_for(root):
    folder = root / "trials" / "rate_1" / "seed-1"
    for name in ("result.json", "metrics.jsonl", "predictions.npz"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    assert store.read_json(folder / "result.json") is None
    assert store.read_curve(folder, "test", "top1") == []
    assert images.read(folder, "test_top1") is None
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").symlink_to("/dev/zero")
    assert store.read_curve(folder, "test", "top1") == []


@pytest.mark.parametrize("link", ["trials/rate_1", "trials/rate_1/seed-1"])
def test_a_link_out_of_the_folder_is_neither_read_nor_written(root, tmp_path, link):
    outside = tmp_path / "outside"
    (root / link).rename(outside)
    (root / link).symlink_to(outside)
    found = store.read_trials(root, store.read_study(root))
    assert {one.state for one in found if one.arm == "rate_1" and one.seed == 1} == {"broken"}
    assert "leads out" in tables.summarise(root).warnings[0]
    described = simulated.described(16).with_seeds(2)
    before = {path: path.read_bytes() for path in outside.rglob("*.json")}
    with pytest.raises(errors.UserError, match="leads out of"):
        runner.run_study(
            described, root, simulated.Simulated(), Console(file=io.StringIO()),
            count=lambda *_: None,
        )  # fmt: skip
    assert before == {path: path.read_bytes() for path in outside.rglob("*.json")}


def test_a_result_that_links_out_of_the_folder_is_not_shown(root, tmp_path):
    path = root / "trials" / "rate_1" / "seed-1" / "result.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert store.read_trials(root, store.read_study(root))[-1].state == "broken"


def test_a_report_is_not_written_through_a_link(root, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".report.html.new", "report.html", f".costs.json.{os.getpid()}"):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(victim)
    report.build(root)
    store.write_json(root / "costs.json", {})
    assert victim.read_text() == "mine"
    assert not (root / "report.html").is_symlink()


def test_predictions_are_never_unpickled_and_never_unpack_without_end(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.system, ("touch owned",))

    trapped = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "predictions.npz", label=trapped, rank=trapped, prediction=trapped)
    assert images.read(tmp_path, "test_top1") is None
    assert not Path("owned").exists()
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (200000000,), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    with zipfile.ZipFile(tmp_path / "predictions.npz", "w", zipfile.ZIP_DEFLATED) as bomb:
        with bomb.open("label.npy", "w", force_zip64=True) as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        bomb.writestr("rank.npy", b"")
    assert images.read(tmp_path, "test_top1") is None  # less than it says


def test_a_member_cannot_name_a_path(tmp_path):
    from inception_jax import config as config_lib

    config = json.loads(config_lib.to_json(config_lib.default()))
    config["eval"]["members"] = ["../../../etc"]
    store.write_json(tmp_path / "config.json", config)
    with pytest.raises(errors.UserError, match="is no name of an arm"):
        trial.run(tmp_path)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"step": 1e999}', '{"step": 1', "NaN", "[]", "7"])
def test_a_curve_passes_over_what_it_cannot_read(tmp_path, line):
    good = '{"step": 5, "split": "test", "top1": 0.5}'
    huge = '{"step": 6, "split": "test", "top1": 1' + "0" * 400 + "}"
    (tmp_path / "metrics.jsonl").write_text(f"{line}\n{good}\n{huge}\n")
    assert store.read_curve(tmp_path, "test", "top1") == [(5, 0.5)]
    assert outcomes.of_curve("early(test_top1, 0.5)", tmp_path, 10) == 0.5


@pytest.mark.parametrize(
    "files",
    [
        {"costs.json": {"rate_0": {"params": -1, "macs": 0}, "rate_1": {"macs": "x"}}},
        {"costs.json": {"rate_0": {"params": 1e99, "macs": 1}, "(measures)": {"x": ["y"]}}},
        {"search.json": {"rate_0": 3}, "driver.json": [1]},
        {"costs.json": [1], "search.json": [], "driver.json": "x"},
    ],
)
def test_the_other_files_are_data_too(root, files):
    for name, content in files.items():
        (root / name).write_text(json.dumps(content))
    tables.summarise(root)
    status.show(root, Console(file=io.StringIO()))

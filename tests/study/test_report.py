"""The report, read as files and opened in a browser."""

from __future__ import annotations

import csv
import html.parser
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from inception_jax import errors
from inception_jax.study import report, store, tables, terminal, wording

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def test_rebuilding_gives_the_same_files(calm, tmp_path):
    shutil.copytree(calm.root, tmp_path / "copy")
    for name in ("report.html", "report.md", "trials.csv", "table.tex"):
        (tmp_path / "copy" / name).unlink()
    page = report.build(tmp_path / "copy")
    assert page.read_text() == (calm.root / "report.html").read_text()
    assert (tmp_path / "copy" / "table.tex").read_text() == (calm.root / "table.tex").read_text()


def test_an_unfinished_study_says_what_is_missing(calm, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(calm.root, root)
    shutil.rmtree(root / "trials" / "direct")
    (root / "costs.json").unlink()
    page = report.build(root).read_text()
    assert "3 of 15 trials have not run yet" in page
    rows = {row.question.claim: row for row in tables.summarise(root).questions}
    assert (rows["A2"].comparison, rows["A2"].verdict) == (None, "inconclusive")
    assert rows["A1"].comparison is not None


def test_nothing_finished_yet_is_a_report_too(bench):
    store.register(bench.root, bench.study)
    page = report.build(bench.root).read_text()
    assert "15 of 15 trials have not run yet" in page
    assert 'data-plot="' not in page


def test_a_folder_without_a_study_is_one_clear_line(tmp_path):
    with pytest.raises(errors.UserError, match="holds no study"):
        report.build(tmp_path)


def test_published_pages_are_whole(calm, tmp_path):
    page = report.publish(calm.root, tmp_path / "results")
    text = page.read_text()
    assert page.name == f"{calm.root.name}.md"
    linked = re.findall(r"\]\(([^)]+\.(?:svg|csv))\)", text)
    assert len(linked) >= 4
    for link in linked:
        assert (page.parent / link).stat().st_size > 0
    assert "inception-jax study" in text


def test_verdicts_follow_the_adjusted_p(calm):
    for row in tables.summarise(calm.root).questions:
        assert row.comparison is not None
        assert row.p_adjusted >= row.comparison.p
        assert (row.verdict == "inconclusive") == (row.p_adjusted >= 0.05)


def test_trials_csv_holds_every_trial_at_full_precision(calm):
    rows = list(csv.DictReader((calm.root / "trials.csv").read_text().splitlines()))
    assert len(rows) == 15
    trial = tables.summarise(calm.root).trials[0]
    assert float(rows[0]["test_top1"]) == trial.metrics["test_top1"]


def test_arms_that_are_the_same_program_are_called_out(calm, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(calm.root, root)
    records = [
        store.read_json(store.trial_folder(root, arm, 0) / "result.json")
        for arm in ("direct", "asymmetric")
    ]
    records[1]["params_sha256"] = records[0]["params_sha256"]
    store.write_json(store.trial_folder(root, "asymmetric", 0) / "result.json", records[1])
    assert any("same program" in warning for warning in tables.summarise(root).warnings)


def test_what_a_result_holds_is_escaped(calm, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(calm.root, root)
    path = store.trial_folder(root, "direct", 0) / "result.json"
    record = store.read_json(path)
    record["commit"] = "<script>alert(1)</script>|x"
    store.write_json(path, record)
    page = report.build(root).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in (root / "report.md").read_text()


def test_the_page_is_whole_and_needs_nothing_from_outside(calm):
    page = (calm.root / "report.html").read_text()

    ids: list[str] = []

    class Checker(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("script", "link", "img", "iframe")
            for name, value in attrs:
                assert name not in ("src",)
                assert name != "href" or (value or "").startswith("#")
                if name == "id":
                    ids.append(value or "")

    Checker().feed(page)
    assert {"verdicts", "arms", "costs"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_plots_are_well_formed_and_stand_alone(calm):
    for path in (calm.root / "plots").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert "currentColor" not in path.read_text()


def test_latex_escapes_what_it_must():
    assert report._latex("5×5 & 50 %_") == r"5$\times$5 \& 50 \%\_"


def test_the_terminal_tables_fit_80_columns(calm):
    from rich.console import Console

    console = Console(width=80, record=True, file=calm.text)
    terminal.show(tables.summarise(calm.root), console)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    for word in ("3×3 + 3×3", "K5", "A6", "supported", "paper: 77.2 against 76.2"):
        assert word in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5_713_216_096, "5.71 G"),
        (23_834_568, "23.8 M"),
        (999, "999"),
        (None, "–"),
        (1000, "1.00 k"),
    ],
)
def test_counts_are_written_with_units(value, text):
    assert wording.count(value) == text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_browser_shows_the_tables_and_the_plots(calm, tmp_path):
    dom = chromium(calm.root / "report.html", tmp_path, "--dump-dom")
    for name in ("accuracy", "differences", "curves"):
        assert f'data-plot="{name}"' in dom
    for text in ('id="verdicts"', 'id="arms"', "77.2 against 76.2", "3×3 + 3×3", "Holm"):
        assert text in dom
    shot = tmp_path / "page.png"
    chromium(calm.root / "report.html", tmp_path, f"--screenshot={shot}", "--window-size=390,900")
    assert shot.stat().st_size > 10_000


def chromium(page: Path, folder: Path, *arguments: str) -> str:
    profile = folder / f"profile-{len(list(folder.iterdir()))}"
    command = [CHROMIUM or "", *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout

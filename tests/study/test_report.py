"""The report, read as files and opened in a browser."""

from __future__ import annotations

import csv
import html.parser
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

from inception_jax import errors, study
from inception_jax.study import pages, plots, report, store, tables, terminal, wording
from tests.study.browser import CHROMIUM, asked, chromium
from tests.study.stand_in import result


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
    assert pages.latex("5×5 & 50 %_") == r"5$\times$5 \& 50 \%\_"


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


def test_resolution_stands_beside_the_papers(tmp_path):
    """Losses paired by seed: 5 and 10 points where the cost is held, 20 where it shrinks."""
    described = study.load("resolution", "smoke").with_seeds(3)
    store.register(tmp_path, described)
    lost = {"large": 0.0, "medium": 0.05, "small": 0.1, "medium_naive": 0.2, "small_naive": 0.2}
    for arm, config in store.arm_configs(described).items():
        for seed in range(3):
            content = result({**config, "seed": seed})
            content["metrics"] = {"test_top1": 0.8 + 0.01 * seed - lost[arm]}
            folder = store.trial_folder(tmp_path, arm, seed)
            store.write_json(folder / "config.json", content["config"])
            store.write_json(folder / "result.json", content)
    summary = tables.summarise(tmp_path)
    drawn = plots._lost(summary, "large", ["large", "medium", "small"])
    assert {name: round(mean, 9) for name, (mean, _) in drawn.items()} == {
        "large": 0, "medium": -5, "small": -10,
    }  # fmt: skip
    page = report.build(tmp_path).read_text()
    assert 'data-plot="resolution"' in page
    for text in ("the paper, cost held constant", "ours, network shrinks with its input"):
        assert text in page


def test_an_open_question_says_what_it_would_take(calm):
    summary = tables.summarise(calm.root)
    page = (calm.root / "report.md").read_text()
    asked = [r for r in summary.questions if r.verdict == "inconclusive"]
    assert page.count("seeds for") == len(asked)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_browser_shows_the_tables_and_the_plots(calm, tmp_path):
    dom = chromium(calm.root / "report.html", tmp_path, "--dump-dom")
    for name in ("accuracy", "differences", "curves"):
        assert f'data-plot="{name}"' in dom
    for text in ('id="verdicts"', 'id="arms"', "77.2 against 76.2", "3×3 + 3×3", "Holm"):
        assert text in dom


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_phone_scrolls_in_one_direction(calm, tmp_path):
    wide = asked(calm.root / "report.html", tmp_path, "page.documentElement.scrollWidth")
    assert int(wide) <= 375


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)])
def test_the_page_follows_the_readers_colours(calm, tmp_path, scheme, dark):
    colour = asked(
        calm.root / "report.html", tmp_path,
        "f.contentWindow.getComputedStyle(page.body).backgroundColor",
        f"--blink-settings=preferredColorScheme={scheme}",
    )  # fmt: skip
    assert (max(map(int, re.findall(r"\d+", colour))) < 64) == dark


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_prints(calm, tmp_path):
    file = tmp_path / "page.pdf"
    chromium(calm.root / "report.html", tmp_path, f"--print-to-pdf={file}")
    content = file.read_bytes()
    assert content.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 12

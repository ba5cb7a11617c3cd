"""The index of all claims: what is published stays, and what has not run says so."""

from __future__ import annotations

import dataclasses
import html.parser
import itertools
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from inception_jax import errors, study
from inception_jax.cli import main
from inception_jax.study import (
    answers,
    claims,
    drawing,
    index,
    power,
    publish,
    record,
    report,
    stats,
    store,
    tables,
)
from tests.study.browser import CHROMIUM, asked, chromium

IDS = [f"A{i}" for i in range(1, 23)] + [f"K{i}" for i in range(1, 13)]


@pytest.fixture(scope="module")
def once(calm, tmp_path_factory):
    """A folder of runs with one study that is finished, and where it was published."""
    base = tmp_path_factory.mktemp("index")
    shutil.copytree(calm.root, base / "runs" / "factorization")
    publish.all_of(base / "runs", base / "results")
    return base


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pictures are drawn once, in `once`; what is published again gets empty ones."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" class="plot" data-plot="{}"/>'
    monkeypatch.setattr(drawing, "draw", lambda maker, height, name: svg.format(name))


@pytest.fixture
def runs(once, tmp_path):
    shutil.copytree(once / "runs", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def published(once, runs):
    shutil.copytree(once / "results", runs.parent / "results")
    return runs.parent / "results"


def index_rows(folder: Path) -> dict[str, list[str]]:
    lines = (folder / "index.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| [")]
    rows = {row[0][1:].partition("]")[0]: row for row in cells}
    return {name: row for name, row in rows.items() if name in IDS}


def forget(root: Path, arm: str, seed: int) -> None:
    (store.trial_folder(root, arm, seed) / "result.json").unlink()


def test_every_claim_has_a_row_and_a_page(published):
    rows = index_rows(published)
    assert list(rows) == IDS
    for name, row in rows.items():
        assert len(row) == 8
        page = (published / "claims" / f"{name}.md").read_text()
        assert page.startswith(f"# {name}: ")
        if row[4] == "not run":
            assert row[6] == f"`inception-jax study {row[7]}`"
            assert f"inception-jax study {row[7]}" in page
    assert rows["A3"][4] == "not run"
    assert re.fullmatch(r"\*\*(supported|contradicted|inconclusive)\*\*", rows["A1"][4])
    assert rows["A1"][5].startswith("15 trials, 0.8 core-minutes, ")
    assert "--scale smoke" in rows["A1"][6]
    assert "[factorization](factorization/README.md)" in rows["A1"][7]


def test_every_link_leads_somewhere(published):
    for page in published.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            target = (page.parent / link).resolve()
            assert target.exists() or link.endswith("verdicts.md"), (page, link)


def test_what_was_published_before_stays(published, runs):
    before = index_rows(published)
    kept = (published / "factorization" / "summary.json").read_bytes()
    shutil.move(runs / "factorization", runs / "another")  # a machine that has only this one
    publish.all_of(runs, published)
    assert (published / "factorization" / "summary.json").read_bytes() == kept
    assert index_rows(published) == before
    assert "Also asked by [Factorizing" in (published / "claims" / "A1.md").read_text()
    shutil.rmtree(runs)
    index.publish(published)
    assert index_rows(published) == before


def test_publishing_again_replaces_its_own_folder_only(published, runs):
    shutil.copytree(published / "factorization", published / "other")
    (published / "factorization" / "gone.svg").write_text("<svg/>")
    (published / "factorization" / "notes.txt").write_text("mine")
    other = {p.name: p.read_bytes() for p in (published / "other").iterdir()}
    publish.all_of(runs, published)
    assert {p.name: p.read_bytes() for p in (published / "other").iterdir()} == other
    assert not (published / "factorization" / "gone.svg").exists()
    assert (published / "factorization" / "notes.txt").read_text() == "mine"


def test_an_unfinished_study_is_marked_and_decides_nothing(runs, tmp_path):
    forget(runs / "factorization", "direct", 2)
    folder = tmp_path / "results"
    publish.all_of(runs, folder)
    rows = index_rows(folder)
    for name in ("A1", "A2", "A6", "K1"):
        assert rows[name][4] == "14 of 15 trials, not final"
    assert "Unfinished: 14 of 15 trials" in (folder / "factorization" / "README.md").read_text()
    claim = (folder / "claims" / "A2.md").read_text()
    assert "| so far |" in claim
    assert "not final, and no verdict" in claim
    page = (runs / "index.html").read_text()
    assert "14 of 15 trials" in page
    assert "so far" in (runs / "factorization" / "report.html").read_text()
    assert not re.search(r'class="(verdict )?(supported|contradicted|inconclusive)', page)


def test_an_unfinished_run_does_not_replace_a_finished_one(published, runs, capsys):
    before = {p.name: p.read_bytes() for p in (published / "factorization").iterdir()}
    forget(runs / "factorization", "direct", 2)
    assert main(["report", "--index", str(runs), "--publish", str(published)]) == 0
    assert "kept the finished" in capsys.readouterr().out
    after = {p.name: p.read_bytes() for p in (published / "factorization").iterdir()}
    assert after == before
    assert index_rows(published)["A1"][4] != "14 of 15 trials, not final"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["supported", "contradicted"], "contradicted"),
        (["inconclusive", "contradicted"], "contradicted"),
    ],
)
def test_the_rule_for_several_parts(parts, expected):
    assert claims.verdict(parts) == expected


def test_each_study_is_summarised_once(runs, tmp_path, monkeypatch):
    shutil.copytree(runs / "factorization", runs / "second")
    seen: list[Path] = []
    whole = tables.summarise
    monkeypatch.setattr(tables, "summarise", lambda root: seen.append(root) or whole(root))
    publish.all_of(runs, tmp_path / "results")
    assert sorted(path.name for path in seen) == ["factorization", "second"]


def test_each_result_is_read_once_whatever_the_number_of_questions(calm, monkeypatch):
    """So that the time of a report grows with the trials alone."""
    seen: list[Path] = []
    whole = store.read_json
    monkeypatch.setattr(store, "read_json", lambda path: seen.append(path) or whole(path))
    tables.summarise(calm.root)
    results = [path for path in seen if path.name == "result.json"]
    assert len(results) == len(set(results)) == 15


def test_a_finished_run_decides_before_others(published):
    (found,) = record.read_all(published)
    names = ("data", "folder", "scale", "missing", "study")
    runs = [
        dict(zip(names, values, strict=True))
        for values in (
            ("photos", "factorization-photos", "default", 0, "factorization"),
            ("mnist5k", "factorization", "default", 3, "factorization"),
            ("mnist5k", "other", "default", 0, "another"),
            ("mnist5k", "factorization", "smoke", 0, "factorization"),
        )
    ]
    records = [dataclasses.replace(found, **values) for values in runs]
    for shuffled in itertools.permutations(records):
        row = next(row for row in index.rows(shuffled) if row.claim.id == "A1")
        assert row.record is not None
        assert row.record.folder == "factorization-photos"
        assert [one.folder for one in row.others] == ["factorization", "other", "factorization"]


def test_what_a_summary_holds_is_escaped(published, runs):
    path = published / "factorization" / "summary.json"
    evil = '<script>alert("x")</script>|y'
    data = json.loads(path.read_text())
    data["title"] = data["command"] = data["facts"]["commit"] = data["warnings"] = evil
    data["warnings"] = [evil]
    for answer in data["answers"]:
        answer.update(statement=evil, paper=evil, ours=evil, takes=evil, arms=evil)
    path.write_text(json.dumps(data))
    records = record.read_all(published)
    index.publish(published)
    assert "<script>" not in index.page(runs, records, published)[1].read_text()
    for text in [p.read_text() for p in (*published.glob("*.md"), *published.glob("claims/*"))]:
        assert "<script>" not in text.replace(f"`{evil}`", "").replace(f"    {evil}", "")


def test_the_page_is_whole_and_needs_nothing_from_outside(published, runs):
    page = (runs / "index.html").read_text()
    ids: list[str] = []

    class Checker(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("script", "link", "img", "iframe")
            for name, value in attrs:
                assert name != "src"
                if name == "href" and not (value or "").startswith("#"):
                    assert (runs / (value or "")).exists()
                if name == "id":
                    ids.append(value or "")

    Checker().feed(page)
    assert set(IDS) < set(ids)
    assert len(ids) == len(set(ids))
    for path in published.rglob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_browser_shows_every_claim_and_the_forest(published, runs, tmp_path):
    dom = chromium(runs / "index.html", tmp_path, "--dump-dom")
    for text in (*(f'id="{name}"' for name in IDS), 'data-plot="all_differences"'):
        assert text in dom


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_phone_scrolls_in_one_direction(runs, tmp_path):
    assert int(asked(runs / "index.html", tmp_path, "page.documentElement.scrollWidth")) <= 375


def test_questions_that_are_no_claim_of_the_paper_have_no_row(published):
    path = published / "factorization" / "summary.json"
    data = json.loads(path.read_text())
    data["answers"][0]["claim"] = "../A/A"
    path.write_text(json.dumps(data))
    index.publish(published)
    assert list(index_rows(published)) == IDS
    assert not list(published.glob("**/A.md"))


def test_controls_stand_beside_them(published):
    assert "Not run: an A/A study" in (published / "index.md").read_text()
    (published / "controls.md").write_text(
        "# Controls\n\nText.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    index.publish(published)
    text = (published / "index.md").read_text()
    assert "| 1 | 2 |" in text
    assert "(controls.md)" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "which study?"),
        (["runs", "--index", "runs"], 2, "not both"),
        (["--index", "nowhere"], 1, "holds no folder of a study"),
        (["--index", "runs/factorization"], 1, "leave out --index"),
        (["--publish", "nowhere"], 1, "holds no published study"),
    ],
)
def test_mistakes_are_one_line(runs, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(runs.parent)
    assert main(["report", *arguments]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "x": 2}'])
def test_a_damaged_summary_is_one_clear_line(published, text):
    (published / "factorization" / "summary.json").write_text(text)
    with pytest.raises(errors.UserError, match="publish it again"):
        index.publish(published)


def test_a_summary_is_read_as_it_was_written(runs, tmp_path):
    root = runs / "factorization"
    made = report.make(root)
    new = answers.of_summary(made.summary, "factorization", list(made.plots))
    record.write(tmp_path / "factorization" / record.FILE, new)
    assert record.read(tmp_path / "factorization" / record.FILE) == new
    assert new.spent.trials == 15
    assert new.spent.core_minutes == pytest.approx(15 * 1.5 * 2 / 60)
    forward = sum(arm["macs"] for arm in new.arms)
    config = store.read_json(store.trial_folder(root, "direct", 0) / "config.json")
    assert new.spent.macs == 3 * forward * 3 * 30 * config["data"]["batch_size"]


def test_the_committed_results_are_readable():
    folder = Path(__file__).parents[2] / "docs" / "results"
    found = index.rows(record.read_all(folder))
    assert [row.claim.id for row in found][:34] == IDS
    assert all(row.record for row in found if row.claim.counted)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("factorization", {"stacked_3x3": 0.010, "asymmetric": None}),  # Figure 2
        ("stem", {"chain": 0.012}),  # Table 3
        ("optimizer", {"rmsprop": 0.003}),
        ("resolution", {"medium": -0.002, "small": -0.014}),  # Table 2
    ],
)
def test_the_papers_difference_is_read_from_its_text(name, expected):
    found = {}
    for question in study.load(name).questions:
        if question.treatment in expected:
            found.setdefault(question.treatment, answers.paper_difference(question))
    assert found == pytest.approx(expected)


def test_the_seeds_that_a_question_takes_reach_the_power(calm):
    whole = study.load("factorization")
    question = whole.questions[0]  # the paper's difference is +1.0
    values = [0.006, -0.004, 0.012, 0.001]
    found = study.compare(values, [0.0] * 4)
    text = answers.takes(dataclasses.replace(whole, questions=whole.questions[:3]), question, found)
    seeds = int(re.findall(r"about ([\d,]+) seeds", text)[0].replace(",", ""))
    effect = 0.010 / found.sd
    assert (
        power.t_power(effect, seeds, 0.05 / 3) >= 0.8 > power.t_power(effect, seeds - 1, 0.05 / 3)
    )
    assert "for the paper's +1.00 (4 here)" in text


def test_divergences_are_counted_in_what_a_question_takes(calm):
    clipping = study.load("clipping")
    found = stats.exact(study.compare([0] * 8, [1] * 5 + [0] * 3, "less"))
    text = answers.takes(clipping, clipping.questions[1], found)
    seeds = int(re.findall(r"about (\d+) seeds for −62\.50", text)[0])
    level = 0.05 / len(clipping.questions)
    reached = [power.counted_power(5 / 8, n, level) for n in (seeds - 1, seeds)]
    assert reached[0] < 0.8 <= reached[1]
    assert "no seed goes against it (8 here)" in text

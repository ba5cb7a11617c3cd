"""The twelve cost claims: what is counted, what is decided, and that the page says why."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from inception_jax import study
from inception_jax.cli import main
from inception_jax.study import counting

ROOT = Path(__file__).parents[2]
VERDICTS = {
    "K1": "supported", "K2": "supported", "K3": "supported", "K4": "supported", "K5": "supported",
    "K6": "supported", "K7": "contradicted", "K8": "contradicted", "K9": "contradicted",
    "K10": "supported", "K11": "supported", "K12": "supported",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cost_claims")
    assert main(["study", "cost-claims", "--workdir", str(root)]) == 0
    return root


def test_each_claim_is_printed_with_its_rule(folder, capsys):
    assert main(["report", str(folder)]) == 0
    printed = capsys.readouterr().out
    words = "± 0.005", "± 0.5 %", "± 0.5 %", "± 0.5 %", "exact", "± 0.5", *["± 0.05"] * 2, "exact"
    assert re.findall(r"rule: (\S+(?: [\d.]+)?(?: %)?)", printed) == [
        *words, "exact", "below", "below",
    ]  # fmt: skip


def test_twelve_verdicts(folder):
    page = (folder / "report.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| K")]
    found = {row[0].removeprefix("| "): row[-1].strip("*| ") for row in rows}
    assert found == VERDICTS


def test_the_readme_has_what_is_counted(folder):
    def rows(text: str) -> dict[str, list[str]]:
        lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] == "| K"]
        return {cells[0]: [cell.strip("*") for cell in cells[-3:]] for cells in lines}

    counted = rows(html.unescape((folder / "report.md").read_text()))
    shown = rows((ROOT / "README.md").read_text())
    assert set(shown) == set(counted) == set(VERDICTS)
    for claim, (paper, ours, verdict) in shown.items():
        assert counted[claim][1:] == [ours, verdict], claim
        assert counted[claim][0].startswith(paper), claim


def test_where_they_part_the_page_says_why(folder):
    page = (folder / "report.html").read_text()
    for claim in study.load("cost_claims").costs:
        assert (claim.why != "") == (VERDICTS[claim.claim] == "contradicted")
    assert "the step is 0.41 G in both, not 1.0" in page
    assert "outside of the two grid reductions" in page
    assert "trials" not in page.lower()
    for fact in ("commit", "versions", "dates"):
        assert f">{fact}<" in page
    assert "nan" not in page


def test_latex_and_rebuilding(folder, capsys):
    before = (folder / "report.html").read_text()
    assert "K12" in (folder / "table.tex").read_text()
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_text() == before


def test_what_is_counted():
    assert counting.stem_7x7()[:2] == pytest.approx([5.2998863, 5.7132161], abs=1e-7)
    assert counting.against_googlenet() == pytest.approx([3.61, 2.83], abs=0.005)
    assert counting.depth() == (48, 49, 42)
    assert counting.constant_compute()[0] == pytest.approx(0.0615, abs=1e-4)
    assert counting.parameters()[0] == pytest.approx(23.834568)
    over_left, over_parallel = counting.grid_reduction()
    assert over_left == 4
    assert over_parallel == pytest.approx(2_173_335_552 / 692_941_824)
    assert counting.grids()[:8] == counting.grids()[8:]


def test_it_takes_no_data(capsys):
    assert main(["study", "cost-claims", "--data", "digits"]) == 2
    assert "takes no data" in capsys.readouterr().err

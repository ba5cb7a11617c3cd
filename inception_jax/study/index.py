"""The index of all claims: a row for each, from the records of the studies that answered it."""

from __future__ import annotations

import os
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inception_jax.study import claims, drawing, forest, pages, record, runner, wording
from inception_jax.study.claims import Claim
from inception_jax.study.plots import TITLES
from inception_jax.study.record import Answer, Record

NOT_RUN = "not run"
FOREST = "all_differences"
CONTROLS = "controls.md"


@dataclass(frozen=True)
class Part:
    """One part of a claim, as asked or as answered.

    Attributes:
        letter: "a", "b", ... where a claim has several parts, else "".
        statement: what *supported* says.
        paper: its figure.
        answer: None before the study has run.
    """

    letter: str
    statement: str
    paper: str
    answer: Answer | None


@dataclass(frozen=True)
class Row:
    """A claim with its answer.

    Attributes:
        claim: id and text.
        study: that decides it; "" where no study asks it.
        record: of the study that decides it, None before it has run.
        parts: what is asked, with the answers.
        others: records of further runs that answer it, too.
        verdict: one of three words, or how far the study is, or `NOT_RUN`.
        command: runs it (again).
    """

    claim: Claim
    study: str
    record: Record | None
    parts: tuple[Part, ...]
    others: tuple[Record, ...]
    verdict: str
    command: str

    @property
    def kind(self) -> str:
        """The verdict as the name of a style: "open" where there is none."""
        return self.verdict if self.verdict in drawing.VERDICT_COLOURS else "open"

    @property
    def cost(self) -> str:
        """What the command has cost."""
        if self.record is None:
            return wording.NONE
        return wording.spent(self.record.spent) or "counted, nothing trained"


def rows(records: Sequence[Record]) -> list[Row]:
    """A row for every claim, in the order of the claims."""
    asked = claims.asked()
    return [_row(claim, asked[claim.id], records) for claim in claims.CLAIMS]


def _row(claim: Claim, asked: Mapping[str, Sequence], records: Sequence[Record]) -> Row:
    study = next(iter(asked), "")
    found = [r for r in records if any(a.claim == claim.id for a in r.answers)]
    found.sort(key=lambda r: _rank(r, study))
    if not found:
        parts = _lettered([(q.statement, q.paper, None) for q in asked.get(study, ())])
        command = runner.command(study, {}) if study else ""
        return Row(claim, study, None, parts, (), NOT_RUN, command)
    chosen = found[0]
    answers = [a for a in chosen.answers if a.claim == claim.id]
    return Row(
        claim=claim,
        study=chosen.study,
        record=chosen,
        parts=_lettered([(a.statement, a.paper, a) for a in answers]),
        others=tuple(found[1:]),
        verdict=claims.verdict(a.verdict for a in answers) if chosen.finished else chosen.progress,
        command=chosen.command,
    )


def _rank(found: Record, study: str) -> tuple[bool, bool, bool, bool, str]:
    """Which of several runs decides a claim: the least of these."""
    return (
        found.scale == "smoke",  # a check of the machinery
        found.study != study,
        not found.finished,
        found.folder != found.study,  # another data set than the study's own
        found.folder,
    )


def _lettered(parts: Sequence[tuple[str, str, Answer | None]]) -> tuple[Part, ...]:
    letters = string.ascii_lowercase if len(parts) > 1 else [""]
    return tuple(
        Part(letter, *part)
        for letter, part in zip(letters, parts, strict=False)
    )  # fmt: skip


def tally(found: Sequence[Row]) -> str:
    """How many claims have which verdict, in words."""
    counts = Counter(row.verdict if row.kind != "open" or row.record is None else "unfinished"
                     for row in found)  # fmt: skip
    order = [*drawing.VERDICT_COLOURS, "unfinished", NOT_RUN]
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def publish(folder: Path) -> list[Row]:
    """Writes index.md, a page for each claim and their pictures from what `folder` holds.

    Raises:
        UserError: a summary cannot be read, or a page cannot be written.
    """
    records = record.read_all(folder)
    found = rows(records)
    drawn = _forest(_forest_rows(found), FOREST, wide=True)
    if drawn:
        pages.write(folder / f"{FOREST}.svg", drawing.standalone(drawn))
    context = _context(found, records, {FOREST: drawn})
    context |= {"controls": _controls(folder)}
    pages.write(folder / "index.md", pages.render("index.md.j2", context))
    for row in found:
        _claim_page(folder / "claims", row)
    return found


def _claim_page(folder: Path, row: Row) -> None:
    name = row.claim.id
    own = [_forest_row(part, row) for part in row.parts]
    drawn = _forest([one for one in own if one], name)
    if drawn:
        pages.write(folder / f"{name}.svg", drawing.standalone(drawn))
    context = {
        "row": row,
        "w": wording,
        "rule": claims.RULE,
        "images": claims.PAPER_IMAGES,
        "drawn": bool(drawn),
    }
    context |= {"titles": TITLES}
    pages.write(folder / f"{name}.md", pages.render("claim.md.j2", context))


def page(runs: Path, records: Sequence[Record], published: Path | None) -> tuple[list[Row], Path]:
    """Writes RUNS/index.html, one page that needs nothing else.

    Args:
        runs: the folder of the studies' folders.
        records: of these studies, or of the published ones.
        published: where the pages of studies lie that are not in `runs`.
    """
    found = rows(records)
    drawn = _forest(_forest_rows(found), FOREST, wide=True)
    links: dict[str, str] = {}
    for one in records:
        if (runs / one.folder / "report.html").exists():
            links[one.folder] = f"{one.folder}/report.html"
        elif published is not None:
            page = published / one.folder / "README.md"
            links[one.folder] = Path(os.path.relpath(page, runs)).as_posix()
    context = _context(found, records, {FOREST: drawn}) | {"links": links}
    pages.write(runs / "index.html", pages.render("index.html.j2", context))
    return found, runs / "index.html"


def _context(
    found: Sequence[Row], records: Sequence[Record], drawn: Mapping[str, str]
) -> dict[str, object]:
    return {
        "rows": found,
        "records": records,
        "plots": drawn,
        "forest": FOREST,
        "tally": tally(found),
        "rule": claims.RULE,
        "images": claims.PAPER_IMAGES,
        "w": wording,
    }


def _forest_rows(found: Sequence[Row]) -> list[forest.Row]:
    drawn = (_forest_row(part, row) for row in found for part in row.parts)
    return [row for row in drawn if row is not None]


def _forest_row(part: Part, row: Row) -> forest.Row | None:
    answer = part.answer
    if answer is None or answer.mean is None or answer.low is None or answer.high is None:
        return None
    return forest.Row(
        label=f"{row.claim.id}{part.letter}: {answer.arms}",
        verdict=answer.verdict,
        mean=answer.mean,
        low=answer.low,
        high=answer.high,
        margins=forest.margins(answer.margin, answer.direction),
        paper=answer.paper_difference,
        final=row.record is not None and row.record.finished,
    )


def _forest(found: Sequence[forest.Row], name: str, *, wide: bool = False) -> str:
    return drawing.draw(
        lambda axes: forest.draw(axes, found, wide=wide), forest.height(found), name
    )


def _controls(folder: Path) -> str:
    """The first table of the controls' page, "" without that page."""
    try:
        lines = (folder / CONTROLS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    start = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    return "\n".join(lines[start:end])

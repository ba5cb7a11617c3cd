"""Writes a study's report: a page, Markdown, CSV and LaTeX, from the study's folder alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inception_jax.study import answers, claims, drawing, pages, plots, tables, untrusted, wording
from inception_jax.study.tables import QuestionRow, Summary


@dataclass(frozen=True)
class Report:
    """A report that was just written.

    Attributes:
        summary: what it says.
        page: path of `report.html`.
        markdown: the text of `report.md`.
        plots: its pictures as files, by name.
    """

    summary: Summary
    page: Path
    markdown: str
    plots: Mapping[str, str]


def build(folder: str | Path) -> Path:
    """Rebuilds every report file of the study in `folder`, finished or not.

    Returns:
        Path of `report.html`.

    Raises:
        UserError: the folder holds no study.
    """
    return make(Path(folder)).page


def write(root: Path) -> tuple[Summary, Path]:
    """As `build`; returns what the report says, too."""
    made = make(root)
    return made.summary, made.page


def make(root: Path) -> Report:
    """As `build`; returns all that was made, for publishing it."""
    summary = tables.summarise(root)
    drawn = plots.all_plots(root, summary)
    files = {name: drawing.standalone(svg) for name, svg in drawn.items()}
    untrusted.refuse_links(root / "plots")
    for name, svg in files.items():
        pages.write(root / "plots" / f"{name}.svg", svg)
    context = {
        "summary": summary,
        "own": tables.by_arm(summary.study, summary.trials),
        "study": summary.study,
        "w": wording,
        "plots": drawn,
        "titles": plots.TITLES,
        "show_ema": any(row.ema == row.ema for row in summary.arms),
        "by_image": _by_image(summary),
        "decided": "so far" if summary.missing else "verdict",
        "takes": [_takes(summary, row) for row in summary.questions],
        "image_note": IMAGE_NOTE,
        "notes": (*summary.early, *(NOTES if summary.study.arms else NOTES[-1:])),
    }
    text = pages.render("report.md.j2", context)
    pages.write(root / "report.md", text)
    pages.write(root / "table.tex", pages.render("table.tex.j2", context))
    pages.write(root / "trials.csv", trials_csv(summary))
    pages.write(root / "report.html", pages.render("report.html.j2", context))
    return Report(summary, root / "report.html", text, files)


NOTES = (
    "Accuracies are percentages, differences percentage points. ± is the standard deviation over "
    "n seeds.",
    "Arms share seeds, data order and augmentation; a difference is the mean over seeds of "
    "treatment minus baseline, with the 95 % interval of a paired t test. Intervals and p are not "
    "adjusted for the number of questions; the verdict follows p after Holm's adjustment over "
    "all questions of this study, so an interval may exclude 0 where the verdict is inconclusive.",
    "p is two-sided against no difference; with a margin, against the margin. Equivalence is "
    "tested by two one-sided tests. Sign-flip p is a permutation test against no difference (exact "
    "up to 13 pairs), a second opinion that decides nothing. Where outcomes are counted (runs that "
    "diverged), p and the interval are those of McNemar's exact test and of Clopper and Pearson.",
    "The smallest detectable effect is the true distance from the null value that this many "
    "seeds, with this spread, would find with 80 % power before Holm's adjustment. What an "
    "inconclusive question would take are the seeds that find the paper's difference (without "
    "one, the difference seen), or show the margin, with 80 % power after that adjustment.",
    claims.PAPER_IMAGES,
    "MACs: one multiply-add is 1; convolutions and dense layers, for one image. The cost of the "
    "study is wall-clock time by cores, and three times the forward pass for each image of "
    "training.",
)

IMAGE_NOTE = (
    "The 95 % interval draws both seeds and images anew (two-level bootstrap). McNemar's exact "
    "test compares the two networks of one seed on the same images: how many seeds differ at 5 %, "
    "unadjusted. Neither decides a verdict."
)


def _takes(summary: Summary, row: QuestionRow) -> str:
    """What a question would take that was left open."""
    if row.comparison is None or row.verdict != "inconclusive":
        return ""
    return answers.takes(summary.study, row.question, row.comparison)


def _by_image(summary: Summary) -> list[dict[str, str]]:
    """The rows of the table that compares image by image; none without predictions."""
    return [
        {
            "claim": question.claim,
            "arms": f"{summary.study.arm(question.treatment).label} vs "
            f"{summary.study.arm(question.baseline).label}",
            "images": str(found.images),
            "difference": wording.points(found.mean, sign=True),
            "interval": f"[{wording.points(found.low, sign=True)}, "
            f"{wording.points(found.high, sign=True)}]",
            "only": f"{found.only_treatment:.1f} : {found.only_baseline:.1f}",
            "mcnemar": f"{found.differing} of {found.seeds}",
        }
        for question, found in zip(summary.study.questions, summary.images, strict=True)
        if found is not None
    ]


def trials_csv(summary: Summary) -> str:
    """One line a trial: arm, seed, state, every metric, and where it came from."""
    metrics = sorted({key for trial in summary.trials for key in trial.metrics})
    facts = ("steps", "params_sha256", "seconds", "commit", "started", "finished", "machine")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["arm", "seed", "state", "reason", *map(untrusted.cell, metrics), *facts])
    for trial in summary.trials:
        writer.writerow(
            [
                trial.arm,
                trial.seed,
                trial.state,
                untrusted.cell(trial.reason),
                *(repr(trial.metrics[key]) if key in trial.metrics else "" for key in metrics),
                *(untrusted.cell(tables.text(trial.record.get(key, ""))) for key in facts),
            ]
        )
    return buffer.getvalue()

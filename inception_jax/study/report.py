"""Writes a study's report: a page, Markdown, CSV and LaTeX, from the study's folder alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from inception_jax import errors
from inception_jax.study import plots, tables, wording
from inception_jax.study.tables import Summary

_TEMPLATES = Path(__file__).parent / "templates"
_PLOT_TITLES = {
    "accuracy": "Accuracy against cost",
    "differences": "Paired differences",
    "curves": "Learning curves",
}


def build(folder: str | Path) -> Path:
    """Rebuilds every report file of the study in `folder`, finished or not.

    Returns:
        Path of `report.html`.

    Raises:
        UserError: the folder holds no study.
    """
    return write(Path(folder))[1]


def write(root: Path) -> tuple[Summary, Path]:
    """As `build`; returns what the report says, too."""
    summary = tables.summarise(root)
    drawn = plots.all_plots(root, summary)
    for name, svg in drawn.items():
        _write(root / "plots" / f"{name}.svg", plots.standalone(svg))
    context = {
        "summary": summary,
        "study": summary.study,
        "w": wording,
        "plots": drawn,
        "titles": _PLOT_TITLES,
        "show_ema": any(row.ema == row.ema for row in summary.arms),
        "by_image": _by_image(summary),
        "image_note": IMAGE_NOTE,
        "notes": (*summary.early, *(NOTES if summary.study.arms else NOTES[-1:])),
    }
    _write(root / "report.md", _render("report.md.j2", context))
    _write(root / "table.tex", _render("table.tex.j2", context))
    _write(root / "trials.csv", trials_csv(summary))
    _write(root / "report.html", _render("report.html.j2", context))
    return summary, root / "report.html"


def publish(root: Path, folder: Path) -> Path:
    """Writes the report as pages to commit: FOLDER/NAME.md, its plots and its trials as CSV.

    NAME is that of the study's folder, so that one study can be published on several data sets.

    Raises:
        UserError: `root` holds no study.
    """
    summary, _ = write(root)
    name = root.resolve().name
    for plot in sorted((root / "plots").glob("*.svg")):
        _write(folder / name / plot.name, plot.read_text(encoding="utf-8"))
    page = (root / "report.md").read_text(encoding="utf-8").replace("](plots/", f"]({name}/")
    study = summary.study
    options = "" if study.scale == "default" else f" --scale {study.scale}"
    if study.arms:
        _write(folder / name / "trials.csv", trials_csv(summary))
        options = f" --data {study.data} --seeds {study.seeds}{options}"
    made = (
        f"\nMade by `inception-jax study {study.name}"
        f"{options} --workdir runs/{name}` and `inception-jax report runs/{name} --publish "
        f"docs/results`"
    )
    made += f"; every trial is in [trials.csv]({name}/trials.csv).\n" if study.arms else ".\n"
    _write(folder / f"{name}.md", page + made)
    return folder / f"{name}.md"


NOTES = (
    "Accuracies are percentages, differences percentage points. ± is the standard deviation over "
    "n seeds.",
    "Arms share seeds, data order and augmentation; a difference is the mean over seeds of "
    "treatment minus baseline, with the 95 % interval of a paired t test. Intervals and p are not "
    "adjusted for the number of questions; the verdict follows p after Holm's adjustment over "
    "all questions of this study, so an interval may exclude 0 where the verdict is inconclusive.",
    "p is two-sided against no difference; with a margin, against the margin. Equivalence is "
    "tested by two one-sided tests. Sign-flip p is a permutation test against no difference (exact "
    "up to 13 pairs), a second opinion that decides nothing.",
    "The smallest detectable effect is the true distance from the null value that this many "
    "seeds, with this spread, would find with 80 % power before Holm's adjustment.",
    "MACs: one multiply-add is 1; convolutions and dense layers, for one image.",
)

IMAGE_NOTE = (
    "The 95 % interval draws both seeds and images anew (two-level bootstrap). McNemar's exact "
    "test compares the two networks of one seed on the same images: how many seeds differ at 5 %, "
    "unadjusted. Neither decides a verdict."
)


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror or error}") from error


def _render(template: str, context: dict[str, Any]) -> str:
    import jinja2

    is_page = template.startswith("report.html")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=is_page,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = _markdown_cell
    environment.filters["tex"] = _latex
    return environment.get_template(template).render(context)


def _markdown_cell(value: object) -> str:
    """Text inside a Markdown table: no column breaks, no line breaks, no HTML."""
    flat = " ".join(str(value).split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
}


def _latex(value: object) -> str:
    return "".join(_LATEX.get(character, character) for character in str(value))


def trials_csv(summary: Summary) -> str:
    """One line a trial: arm, seed, state, every metric, and where it came from."""
    metrics = sorted({key for trial in summary.trials for key in trial.metrics})
    facts = ("steps", "params_sha256", "seconds", "commit", "started", "finished", "machine")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["arm", "seed", "state", "reason", *metrics, *facts])
    for trial in summary.trials:
        writer.writerow(
            [
                trial.arm,
                trial.seed,
                trial.state,
                trial.reason,
                *(repr(trial.metrics[key]) if key in trial.metrics else "" for key in metrics),
                *(tables.text(trial.record.get(key, "")) for key in facts),
            ]
        )
    return buffer.getvalue()

"""Publishes studies as pages to commit, and the index of all claims over what is published.

FOLDER/index.md              a row for every claim
FOLDER/claims/A1.md, .svg    a page for every claim
FOLDER/NAME/README.md        the report of the study that ran in a folder called NAME
           /summary.json     what the index says about it
           /trials.csv       a row for every trial
           /*.svg            its pictures

Publishing adds: what was published before stays, and the index is made of all of it. A study that
is published again replaces its own folder, but an unfinished run never a finished one.
"""

from __future__ import annotations

from pathlib import Path

from inception_jax import errors
from inception_jax.study import answers, index, pages, record, report, store
from inception_jax.study.index import Row
from inception_jax.study.record import Record
from inception_jax.study.report import Report

PAGE, TRIALS = "README.md", "trials.csv"


def studies(runs: Path) -> list[Path]:
    """The studies' folders in a folder of runs, by name.

    Raises:
        UserError: there are none.
    """
    found = sorted(path.parent for path in runs.glob(f"*/{store.STUDY_FILE}"))
    if not found:
        inside = " (it is a study itself: leave out --index)" if _is_study(runs) else ""
        raise errors.UserError(
            f"{runs} holds no folder of a study{inside}; give the folder in which `inception-jax "
            "study` made them, as in --index runs"
        )
    return found


def _is_study(folder: Path) -> bool:
    return (folder / store.STUDY_FILE).is_file()


def folder_name(root: Path) -> str:
    """The name under which the study in `root` is published: one study may be, on several data."""
    return root.resolve().name


def study(made: Report, name: str, folder: Path) -> tuple[Record, str]:
    """Publishes one report as FOLDER/NAME.

    Returns:
        Its record, and why it was not published: "" where it was.

    Raises:
        UserError: a file cannot be written, or what lies there cannot be read.
    """
    new = answers.of_summary(made.summary, name, list(made.plots))
    place = folder / name
    if not new.finished and (place / record.FILE).exists():
        held = record.read(place / record.FILE)
        if held.finished:
            return new, f"kept the finished {place}: this run has {new.progress}"
    if place.is_dir():
        _clear(place)
    for plot, svg in made.plots.items():
        pages.write(place / f"{plot}.svg", svg)
    if made.summary.study.arms:
        pages.write(place / TRIALS, report.trials_csv(made.summary))
    pages.write(place / PAGE, _page(made, new))
    record.write(place / record.FILE, new)
    return new, ""


def _clear(place: Path) -> None:
    """Removes what an earlier publication wrote, and nothing else."""
    for path in (*place.glob("*.svg"), place / TRIALS, place / PAGE, place / record.FILE):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise errors.UserError(f"cannot replace {path}: {error.strerror or error}") from error


def _page(made: Report, new: Record) -> str:
    head, _, rest = made.markdown.replace("](plots/", "](").partition("\n\n")
    mark = f"> **Unfinished: {new.progress}.** No verdict here is final."
    trials = (
        f" Every trial but a search's is in [{TRIALS}]({TRIALS})."
        if made.summary.study.arms
        else ""
    )
    made_by = (
        f"Made by `{new.command}` and `inception-jax report runs/{new.folder} --publish "
        f"docs/results`.{trials} [All claims](../index.md).\n"
    )
    return "\n\n".join([head, *([] if new.finished else [mark]), rest.rstrip("\n"), made_by])


def all_of(runs: Path, folder: Path | None) -> tuple[list[Row], Path, list[str]]:
    """Writes the report of every study in `runs`, each read once, and the index beside them.

    Args:
        runs: the folder of the studies' folders; receives index.html.
        folder: where they are published, too; the index is of all that was published there.

    Returns:
        The index's rows, the path of its page, and a line for each study that was not published.

    Raises:
        UserError: `runs` holds no study, or a file cannot be read or written.
    """
    records: list[Record] = []
    kept: list[str] = []
    for root in studies(runs):
        made, name = report.make(root), folder_name(root)
        if folder is None:
            records.append(answers.of_summary(made.summary, name, list(made.plots)))
            continue
        _, why = study(made, name, folder)
        kept += [why] if why else []
    if folder is not None:
        index.publish(folder)
        records = record.read_all(folder)
    rows, page = index.page(runs, records, folder)
    return rows, page, kept

"""The study's tables in the terminal, at 80 columns and more."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inception_jax.study import index, wording
from inception_jax.study.index import Row
from inception_jax.study.tables import Summary

_COLOURS = {"supported": "green", "contradicted": "red", "inconclusive": "yellow"}


def show(summary: Summary, console: Console) -> None:
    """Prints the arms, the questions, the cost claims and what to mind about them."""
    study = summary.study
    console.print()
    trained = (
        f" · {study.data} · {study.scale} scale · {summary.done} of {len(summary.trials)} trials"
    )
    console.print(f"[bold]{escape(study.title)}[/]{trained if study.arms else ''}", highlight=False)
    if study.arms:
        console.print(_arms(summary))
        console.print(_questions(summary))
    if summary.costs:
        console.print(_costs(summary))
    if not study.arms:
        return
    console.print(
        "[dim]Accuracy and differences in percentage points; ± is the sd over seeds; differences "
        "are paired by seed with a 95 % t interval (of counts: exact), not adjusted; the verdict "
        "follows the Holm-adjusted p; mde: smallest true difference found with 80 % power.[/]",
        highlight=False,
    )
    for warning in summary.warnings:
        console.print(f"[yellow]{escape(warning)}[/]", highlight=False)


def show_index(rows: Sequence[Row], console: Console) -> None:
    """Prints a line for every claim."""
    table = _table(f"{len(rows)} claims: {index.tally(rows)}")
    table.add_column("id", no_wrap=True)
    table.add_column("claim", overflow="fold", ratio=1)
    table.add_column("study", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.expand = True
    for row in rows:
        word = _verdict(row.verdict) if row.kind != "open" else f"[dim]{escape(row.verdict)}[/]"
        table.add_row(row.claim.id, escape(row.claim.text), escape(row.study), word)
    console.print(table)


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )


def _arms(summary: Summary) -> Table:
    table = _table("Arms")
    table.add_column("arm", overflow="fold")
    averaged = any(row.ema == row.ema for row in summary.arms)
    names = ["params", "MACs", summary.study.metric, *(["EMA"] if averaged else []), "n"]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.arms:
        cells = [wording.params(row), wording.macs(row), wording.accuracy(row)]
        cells += [wording.averaged(row)] if averaged else []
        table.add_row(escape(row.arm.label), *cells, str(row.n))
    return table


def _questions(summary: Summary) -> Table:
    table = _table("Claims")
    table.add_column("id", no_wrap=True)
    table.add_column("claim", overflow="fold", ratio=1)
    for name in ("diff.", "95 %", "p Holm", "mde"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.expand = True
    for row in summary.questions:
        question, comparison = row.question, row.comparison
        statement = escape(question.statement)
        paper = f"\n[dim]paper: {escape(question.paper)}[/]" if question.paper else ""
        low_high = (
            f"{wording.points(comparison.low, True)}\n{wording.points(comparison.high, True)}"
            if comparison
            else wording.NONE
        )
        table.add_row(
            escape(question.claim),
            statement + paper,
            wording.difference(row),
            low_high,
            wording.probability(row.p_adjusted),
            wording.points(comparison.smallest_detectable) if comparison else wording.NONE,
            _verdict(row.verdict),
        )
    return table


def _costs(summary: Summary) -> Table:
    table = _table("Costs")
    table.add_column("id", no_wrap=True)
    table.add_column("claim", overflow="fold", ratio=1)
    table.add_column("paper", justify="right", max_width=14)
    table.add_column("ours", justify="right", max_width=18)
    table.add_column("verdict", no_wrap=True)
    table.expand = True
    for row in summary.costs:
        reason = wording.why(row)
        table.add_row(
            escape(row.claim.claim),
            escape(row.claim.statement) + (f"\n[dim]{escape(reason)}[/]" if reason else ""),
            f"{escape(row.claim.paper)}\n[dim]{wording.held(row.claim)}[/]",
            wording.ours(row),
            _verdict(row.verdict),
        )
    return table


def _verdict(word: str) -> str:
    return f"[{_COLOURS[word]}]{word}[/]"

"""What a study's folder of published results keeps: all that the index of claims says about it.

`summary.json` is plain JSON of a few kilobytes without learning curves. It is enough to build the
index and every claim's page again when the run itself is gone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from inception_jax import errors
from inception_jax.study import store
from inception_jax.study.spent import Spent
from inception_jax.study.stats import Verdict

FILE = "summary.json"
_FORMAT = 1


@dataclass(frozen=True)
class Answer:
    """One part of a claim as a study answers it: a question over seeds, or a count.

    Numbers are in the metric's unit (0.01 is one point of accuracy), None where there is none.

    Attributes:
        claim: id, as in "A1".
        statement: *supported* means that this sentence holds.
        paper: its figure as printed, with the place.
        ours: our figure as printed, with its interval.
        verdict: of this part.
        arms: "treatment vs baseline" by their labels; "" of a count.
        rule: the decision rule in words, fixed in advance.
        mean: of the paired differences.
        low: lower end of their 95 % interval.
        high: its upper end.
        margin: fixed in advance.
        direction: of treatment minus baseline.
        paper_difference: the paper's.
        n: pairs of seeds.
        p: of the test.
        p_holm: adjusted over the study.
        p_sign_flip: of the second opinion.
        smallest_detectable: true distance from the null value that the run would have found.
        takes: what an inconclusive question would take.
        why: why a count parts from the paper.
    """

    claim: str
    statement: str
    paper: str
    ours: str
    verdict: Verdict
    arms: str = ""
    rule: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    direction: str = ""
    paper_difference: float | None = None
    n: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_sign_flip: float | None = None
    smallest_detectable: float | None = None
    takes: str = ""
    why: str = ""


@dataclass(frozen=True)
class Record:
    """One published study.

    Attributes:
        folder: its name among the published ones.
        study: its name on the command line.
        title: heading of its page.
        question: what it asks.
        data: name of the data set.
        scale: of the study.
        seeds: asked for.
        metric: that its questions are about.
        done: trials with a result.
        missing: trials that have not run.
        total: trials in all.
        command: runs it again.
        spent: its cost so far.
        arms: name, label, overrides, params, macs, n, mean, sd, low, high, ema, seconds of each.
        answers: questions, then counts.
        warnings: what to know before believing it.
        fairness: why it is a fair miniature, and where it is not.
        differs: what differs from the paper.
        facts: commit, versions, machine, dates and more, by name.
        plots: names of its pictures.
    """

    folder: str
    study: str
    title: str
    question: str
    data: str
    scale: str
    seeds: int
    metric: str
    done: int
    missing: int
    total: int
    command: str
    spent: Spent
    arms: tuple[Mapping[str, Any], ...]
    answers: tuple[Answer, ...]
    warnings: tuple[str, ...]
    fairness: str
    differs: str
    facts: Mapping[str, str]
    plots: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether every trial has run; what has not decides nothing."""
        return not self.missing

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        return f"{self.done} of {self.total} trials"


def write(path: Path, record: Record) -> None:
    """Writes `summary.json`."""
    store.write_json(path, {"format": _FORMAT, **dataclasses.asdict(record)})


def read(path: Path) -> Record:
    """The record of a `summary.json`, under the name of the folder in which it lies.

    Raises:
        UserError: the file is no such record.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("another format")
        answers = tuple(Answer(**answer) for answer in data.pop("answers"))
        if any(answer.verdict not in get_args(Verdict) for answer in answers):
            raise ValueError("no such verdict")
        rest = {key: tuple(data.pop(key)) for key in ("arms", "warnings", "plots")}
        data["folder"] = path.parent.name
        return Record(spent=Spent(**data.pop("spent")), answers=answers, **rest, **data)
    except OSError as error:
        raise errors.UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.UserError(
            f"{path} is not a published study's summary; delete its folder and publish it again"
        ) from None


def read_all(folder: Path) -> list[Record]:
    """Every study that was published in `folder`, by name; none where the folder is not there.

    Raises:
        UserError: a summary cannot be read.
    """
    return [read(path) for path in sorted(folder.glob(f"*/{FILE}"))]

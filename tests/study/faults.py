"""The faults that every launcher is tested with: a table, from which docs/faults.md is written.

python tests/study/faults.py            # writes the page
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
LAUNCHERS = ("local", "slurm", "ray")


@dataclass(frozen=True)
class Fault:
    """One way in which a study is disturbed.

    Attributes:
        name: of the test's cell.
        title: what goes wrong.
        injected: how the test makes it go wrong.
        plant: what `stand_in.py` does in one trial (direct, seed 1).
        kind: "heals" (the study ends by itself with the calm table), "reported" (it ends with that
            trial reported and all others kept; once the cause is gone, the same command gives the
            calm table), "node" (a machine goes while a checkpoint is written), "driver" (killed
            and started again) or "second" (another driver comes).
        reason: what is said of the trial, or of the second driver.
        options: of the launcher.
    """

    name: str
    title: str
    injected: str
    plant: str
    kind: Literal["heals", "reported", "node", "driver", "second"]
    reason: str
    options: dict[str, Any] = field(default_factory=dict)


FAULTS = (
    Fault(
        "killed", "A trial is killed", "the trial sends itself SIGKILL, once", "kill-once",
        "heals", "killed by SIGKILL",
    ),
    Fault(
        "worker", "A worker is killed",
        "the process that watches the trial, a Ray worker or a SLURM task, gets SIGKILL, once "
        "(local: that is the driver, see below; here the trial is killed)",
        "worker-once", "heals", "",
    ),
    Fault(
        "preempted", "A machine is wanted back",
        "SIGTERM to the trial (local, ray) or SIGUSR2 to its job (slurm), once; it saves a "
        "checkpoint and ends with exit code 75",
        "preempt-once", "heals", "",
    ),
    Fault(
        "memory", "A trial runs out of memory", "it takes 0.4 GB of the 0.25 it may", "memory",
        "reported", "out of memory: it held", {"needs": "memory=0.25"},
    ),
    Fault(
        "hang", "A trial hangs", "it sleeps for ten minutes; the time limit is a few seconds",
        "hang", "reported", "it ran past the time limit", {"time_limit": 10.0},
    ),
    Fault(
        "nan", "The loss is NaN", "the trial ends as training does then", "nan",
        "reported", "the loss is not finite at step 7",
    ),
    Fault(
        "half", "A file is half written", "the trial leaves 100 bytes of result.json, once", "half",
        "heals", "result.json is cut off or no JSON",
    ),
    Fault(
        "full", "The disk is full",
        "the trial's write meets the kernel's ENOSPC (/dev/full), and the driver's own note of it "
        "the same error",
        "full", "reported", "No space left on device",
    ),
    Fault(
        "node", "A node is lost while a checkpoint is written",
        "all processes of its machine are killed: the driver and its trials (local), the job's "
        "(slurm), a Ray node with ray.cluster_utils (ray)",
        "node-once", "node", "",
    ),
    Fault(
        "driver", "The driver is killed and started again",
        "SIGKILL while two trials run and two are finished", "wait", "driver", "",
    ),
    Fault(
        "second", "Two drivers, one folder", "a second driver starts while the first one runs",
        "wait", "second", "another driver (process ",
    ),
)  # fmt: skip

CHECKED = {
    "heals": "the study ends by itself; its table is that of a calm run",
    "reported": "the reason is reported in one line and in the report, after two attempts; all "
    "others are finished; once the cause is gone, the same command runs that trial alone, and the "
    "table is that of a calm run",
    "node": "the trial goes on from the last whole checkpoint, elsewhere or once started again; "
    "the table is that of a calm run",
    "driver": "no result is lost or written again; no trial is run twice at once (ray and local: "
    "none outlives the driver; slurm: jobs go on, and the new driver takes them over); the table "
    "is that of a calm run",
    "second": "it says who holds the folder and leaves, having changed nothing; the first ends as "
    "if alone",
}


def page() -> str:
    """docs/faults.md."""
    lines = [
        "# Faults",
        "",
        "What happens to a study when something goes wrong, for each launcher. Every cell is a",
        "test (`tests/study/test_faults.py`, from the table in `tests/study/faults.py`, which",
        "writes this page); trials are stand-ins that train nothing, so that a cell takes seconds.",
        "`local` and `slurm` (on submitit's local executor) are part of every test run; `ray` with",
        "`INCEPTION_JAX_TEST_CLUSTERS=1 pytest tests/study/test_faults.py` where Ray is installed.",
        "All cells passed on 26 November 2026 (Ray 2.60). No test ran on a real SLURM cluster, nor",
        "on Ray nodes of several machines: `node-ray` has several nodes on one.",
        "",
        "| fault | how it is made | what is checked | "
        + " | ".join(LAUNCHERS) + " |",
        "|---|---|---|" + "---|" * len(LAUNCHERS),
    ]  # fmt: skip
    for fault in FAULTS:
        said = f"; it says “{fault.reason} …”" if fault.reason else ""
        cells = " | ".join(f"`{fault.name}-{launcher}`" for launcher in LAUNCHERS)
        lines.append(
            f"| {fault.title} | {fault.injected} | {CHECKED[fault.kind]}{said} | {cells} |"
        )
    return "\n".join([*lines, "", *_RULES, ""])


_RULES = (
    "## The rules behind it",
    "",
    "- A trial is always a process of its own, whichever launcher starts it: it ends alone.",
    "- `result.json` is written whole or not at all, and alone makes a trial finished. What cannot",
    "  be read, or belongs to another config, is set aside and run again.",
    "- What is the trial's fault (an exit code, a signal, a limit) counts as an attempt; there are",
    "  two. What is the machine's (a worker or node lost, exit code 75 after SIGTERM) does not;",
    "  after twenty of these the trial is reported too.",
    "- Training goes on from its last whole checkpoint and gives the bits of an unbroken run.",
    "- One driver a folder: on one machine the kernel's lock, between machines a lease that is",
    "  renewed every 10 s and ends 60 s after the last renewal. A driver whose lease was taken",
    "  over stops.",
)

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

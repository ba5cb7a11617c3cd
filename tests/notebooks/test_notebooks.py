"""Every notebook runs, and prints what it printed when it was committed."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import matplotlib as mpl
import pytest

from inception_jax.models import factorization

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# These show docs/results as it was when they were executed (`notebooks/execute.py`). Results that
# are published later change their figures, not what they check: the lines that begin so.
READ_RESULTS = {"resolution", "results_with_pandas"}


def code(path: Path) -> list[dict]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_prints_what_it_shows(path, monkeypatch):
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    monkeypatch.chdir(FOLDER)  # where Jupyter runs it
    strategies = dict(factorization.STRATEGIES)
    scope: dict[str, object] = {"__name__": "__main__"}
    checks = 0
    try:
        for cell in code(path):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec("".join(cell["source"]), scope)  # the notebook is ours
            plt.close("all")
            shown = [o["text"] for o in cell["outputs"] if o.get("name") == "stdout"]
            printed, before = out.getvalue(), "".join("".join(text) for text in shown)
            if path.stem in READ_RESULTS:
                found = [line for line in printed.splitlines() if line.startswith("check: ")]
                assert all(line in before for line in found)
                checks += len(found)
            else:
                assert printed == before
    finally:
        factorization.STRATEGIES.clear()
        factorization.STRATEGIES.update(strategies)
    assert checks == (path.stem in READ_RESULTS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_with_its_results(path):
    cells = code(path)
    assert all(c["execution_count"] for c in cells)
    assert not any(o["output_type"] == "error" for c in cells for o in c["outputs"])
    assert any("image/png" in o.get("data", {}) for c in cells for o in c["outputs"])

"""Executes notebooks in place, with their pictures; needs no Jupyter.

    python notebooks/execute.py [NAME.ipynb ...]

Without a name it executes all of them. After new results were published, `resolution.ipynb` and
`results_with_pandas.ipynb` show them only when this has run again.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl


def execute(path: Path) -> None:
    """Runs every code cell of a notebook in one scope and writes what it gave beside it."""
    import matplotlib.pyplot as plt

    notebook = json.loads(path.read_text(encoding="utf-8"))
    scope: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] != "code":
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = _run("".join(cell["source"]), scope, count)
        cell["outputs"] += [_picture(plt.figure(number)) for number in plt.get_fignums()]
        plt.close("all")
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _run(source: str, scope: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """What a cell prints, and the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), scope)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), scope)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        result = {"output_type": "execute_result", "execution_count": count}
        outputs.append({**result, "data": data, "metadata": {}})
    return outputs


def _picture(figure: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
    data = {
        "image/png": base64.b64encode(buffer.getvalue()).decode(),
        "text/plain": [repr(figure)],
    }
    return {"output_type": "display_data", "data": data, "metadata": {}}


def main(names: list[str]) -> None:
    """Executes the notebooks with these paths, or all."""
    mpl.use("Agg")
    for path in map(Path, names or sorted(map(str, Path(__file__).parent.glob("*.ipynb")))):
        print(path)
        execute(path)


if __name__ == "__main__":
    main(sys.argv[1:])

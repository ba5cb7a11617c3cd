"""Writes a report's files from its templates: what is escaped how, and whole or not at all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax import errors

_TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # never through a link that somebody left there
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise errors.UserError(f"cannot write {path}: {error.strerror or error}") from error


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template's text; a page of HTML escapes every value by itself."""
    return _environment(".html." in template).get_template(template).render(context)


@functools.cache
def _environment(escaped: bool) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = markdown
    environment.filters["tex"] = latex
    return environment


def markdown(value: object) -> str:
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


def latex(value: object) -> str:
    """Text inside a LaTeX document."""
    flat = " ".join(str(value).split())
    return "".join(_LATEX.get(character, character) for character in flat)

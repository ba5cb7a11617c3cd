"""docs/paper_vs_code.md is what the importer's rules say."""

from __future__ import annotations

from pathlib import Path

from inception_jax import models
from inception_jax.weights import page, points

PAGE = Path(__file__).parents[2] / "docs" / "paper_vs_code.md"


def test_the_page_is_current():
    assert PAGE.read_text() == page.text(), (
        "run: python -m inception_jax.weights.page > docs/paper_vs_code.md"
    )


def test_every_network_of_the_paper_is_on_it():
    assert {name for name, *_ in points.NETWORKS} == set(models.names()) - {"inception_small"}

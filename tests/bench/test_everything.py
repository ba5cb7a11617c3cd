"""The table of all measures."""

from __future__ import annotations

from inception_jax.bench import everything

ABOUT = {"versions": {"jax": "1"}, "machine": {"cpu": "x", "cores": 2, "devices": 2}}
TRAIN = {
    "measure": "train",
    "network": "inception_v3",
    "image_size": 299,
    "batch_size": 8,
    "images_per_second": 5.0,
    "images_per_second_at_peak": 10.0,
    "peak_bytes": 2_000_000_000,
    "ready_bytes": 500_000_000,
    "compiler_bytes": 3_000_000_000,
    "ratio": 1.25,
    "ratio_spread": [1.0, 1.5],
    "against": {"images_per_second": 4.0, "peak_bytes": 1_000_000_000, "versions": {"torch": "2"}},
    **ABOUT,
}


def test_source_lines_are_code_alone(tmp_path):
    (tmp_path / "a.py").write_text('"""Two\nlines."""\n\n# a comment\nx = """a\nb"""  # code\n')
    (tmp_path / "b.py").write_text('def f():\n    """Says."""\n    return 1\n')
    assert everything.source_lines(tmp_path) == 4


def test_the_table_has_a_row_for_each_measure():
    found = {
        "train": TRAIN,
        "first": {
            "cold": {"seconds": [14.0, 16.0, 15.0], "step_seconds": [8.0, 9.0, 7.0]},
            "warm": {"seconds": [4.0, 4.0, 5.0], "step_seconds": [1.0, 1.0, 1.0]},
        },
        "study": {
            "study": "factorization", "seeds": 1, "seconds": 50.0,
            "one_after_another_seconds": 100.0, "ratio": 2.0,
        },
        "source": {"lines": 399},
    }  # fmt: skip
    rows = everything.markdown(found).splitlines()
    assert len(rows) == 2 + 2 + 2 + 1 + 1 + 2
    assert (
        "| 5.00 | 4.00 | 1.25 (1.00 to 1.50) | ≥ 1.10 | 10.0 at the products' peak: 50% |"
        in rows[2]
    )
    assert (
        "| 2.00 | 1.00 | 2.00 | ≤ 1 | 0.50 before its first step; its compiler, apart: 3.00 |"
        in rows[3]
    )
    assert "cold cache, s | 15.0 (14.0 to 16.0)" in rows[4]
    assert "8.0 of it the step's own" in rows[4]
    assert rows[-1] == "x, 2 cores, 2 devices of XLA; jax 1, torch 2."

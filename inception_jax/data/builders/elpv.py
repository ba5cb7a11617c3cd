"""`elpv`: solar cells under electroluminescence, 300 px grey: are they defective?

Options:
    fold: 0..4, the fold of modules to test on; the next one is for validation, the others train.
    target: "certain" (2 classes; the cells that the experts were sure of: probability 0 or 1),
        "binary" (2 classes, defective from probability 2/3 on), "any" (2 classes, from 1/3 on),
        "levels" (4 classes).

Cells of one module are near-copies of each other, so folds never divide a module: a random split
flatters by 3 to 5 points. The package does not say which cells make a module; the table below was
derived from where brightness and texture change, and closes on the 18 mono- and 26 polycrystalline
modules of the paper. Modules 29 and 38 are one physical module, photographed twice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax import errors
from inception_jax.data.bundle import Bundle, Example, check_choice, read_options

CELLS = 2624

# First cell of each of the 44 modules, in the order of the package's labels.csv.
# fmt: off
MODULE_STARTS = (
    0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 660, 720, 780, 840, 900, 960, 1020, 1080,
    1140, 1200, 1260, 1314, 1374, 1434, 1494, 1554, 1614, 1674, 1734, 1794, 1844, 1904, 1964, 2024,
    2084, 2144, 2216, 2276, 2336, 2396, 2444, 2504, 2564,
)
# fmt: on

# One module under two numbers.
TWINS = (29, 38)

# Modules of each fold: scikit-learn's StratifiedGroupKFold(5, shuffle=True, random_state=0) over
# the four levels, written down because the splitter may change.
FOLDS = (
    (8, 14, 15, 24, 30, 31, 34, 36),
    (1, 5, 6, 19, 21, 23, 35, 39, 40, 41),
    (2, 4, 17, 20, 27, 29, 32, 38),
    (0, 3, 10, 12, 16, 18, 22, 28, 37),
    (7, 9, 11, 13, 25, 26, 33, 42, 43),
)

# target -> (class names, level 0..3 of a cell -> its class, None where the cell is left out)
TARGETS: dict[str, tuple[tuple[str, ...], tuple[int | None, ...]]] = {
    "certain": (("functional", "defective"), (0, None, None, 1)),
    "binary": (("functional", "defective"), (0, 0, 1, 1)),
    "any": (("functional", "defective"), (0, 1, 1, 1)),
    "levels": (("0", "1/3", "2/3", "1"), (0, 1, 2, 3)),
}

# target -> examples in each fold, counted from labels.csv
SIZES: dict[str, tuple[int, ...]] = {
    "certain": (414, 479, 406, 457, 467),
    "binary": (482, 582, 480, 540, 540),
    "any": (482, 582, 480, 540, 540),
    "levels": (482, 582, 480, 540, 540),
}

LICENCE = (
    "CC BY-NC-SA 4.0, non-commercial use only; cite Buerhop-Lutz et al. 2018, "
    "Deitsch et al. 2019 and Deitsch et al. 2021 (https://github.com/zae-bayern/elpv-dataset)"
)


def fold_of_cell() -> np.ndarray:
    """int64[2624]: the fold of each cell, by its module."""
    module = np.searchsorted(MODULE_STARTS, np.arange(CELLS), side="right") - 1
    fold_of_module = {m: fold for fold, modules in enumerate(FOLDS) for m in modules}
    return np.array([fold_of_module[m] for m in module])


def bundle(options: Mapping[str, Any]) -> Bundle:
    """The cells; stored by fold, so that all five folds share one copy on disk."""
    read = read_options("elpv", options, {"fold": 0, "target": "certain"})
    check_choice("elpv", "fold", read["fold"], tuple(range(len(FOLDS))))
    check_choice("elpv", "target", read["target"], tuple(TARGETS))
    names, class_of_level = TARGETS[read["target"]]
    test = read["fold"]
    others = [(test + step) % len(FOLDS) for step in range(1, len(FOLDS))]
    stored = tuple(f"fold{index}" for index in range(len(FOLDS)))
    return Bundle(
        name="elpv",
        version="1.0.0",
        variant=read["target"],
        image_shape=(300, 300, 1),
        class_names=names,
        licence=LICENCE,
        description="Solar cells under electroluminescence, 300 x 300 px, by physical module.",
        sizes=dict(zip(stored, SIZES[read["target"]], strict=True)),
        generate=lambda split: _generate(stored.index(split), class_of_level),
        roles={
            "train": tuple(stored[index] for index in sorted(others[1:])),
            "validation": (stored[others[0]],),
            "test": (stored[test],),
        },
    )


def _generate(fold: int, class_of_level: tuple[int | None, ...]) -> Iterator[Example]:
    folder = package_folder()
    folds = fold_of_cell()
    with open(folder / "labels.csv") as stream:
        rows = [line.split() for line in stream if line.strip()]
    if len(rows) != CELLS:
        raise errors.UserError(
            f"elpv-dataset has {len(rows)} cells here, expected {CELLS}; "
            "run: pip install 'elpv-dataset==1.0.0.post1'"
        )
    for index, (file, probability, *_) in enumerate(rows):
        label = class_of_level[round(3 * float(probability))]
        if folds[index] == fold and label is not None:
            yield (folder / file).read_bytes(), label


def package_folder() -> Path:
    """Where elpv-dataset keeps labels.csv and images/.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise errors.UserError(
            "data set 'elpv' needs a package that is not installed; "
            "run: pip install 'inception-jax[elpv]'"
        )
    return Path(spec.origin).parent / "data"

"""Studies as data: identity, round trip, what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from inception_jax import errors, study
from inception_jax.study import serialization

SMOKE = study.load("factorization", "smoke")


def test_round_trip_through_json():
    text = json.dumps(serialization.to_dict(SMOKE))
    assert serialization.from_dict(json.loads(text)) == SMOKE


def test_identity_ignores_seeds_and_prose_but_not_margins():
    assert serialization.identity(SMOKE) == serialization.identity(SMOKE.with_seeds(5))
    question = dataclasses.replace(SMOKE.questions[1], margin=0.3)
    changed = dataclasses.replace(SMOKE, questions=(SMOKE.questions[0], question))
    assert serialization.identity(SMOKE) != serialization.identity(changed)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-x"])
def test_an_arm_name_cannot_leave_its_folder(name):
    with pytest.raises(ValueError, match="folder"):
        study.Arm(name, "label")


def test_questions_name_arms_that_exist():
    with pytest.raises(ValueError, match="no arm named nothing"):
        dataclasses.replace(
            SMOKE, questions=(study.Question("A1", "x", treatment="nothing", baseline="direct"),)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("factorisation",), "did you mean 'factorization'"),
        (("factorization", "smke"), "did you mean 'smoke'"),
        (("factorization", "smoke", "nothing"), "not defined on data 'nothing'"),
    ],
)
def test_unknown_names_are_usage_errors(arguments, message):
    with pytest.raises(errors.UsageError, match=message):
        study.load(*arguments)


def test_describing_a_study_does_not_import_jax_or_scipy():
    code = (
        "import sys; from inception_jax import study; "
        "[study.load(name) for name in study.names()]; "
        "sys.exit(bool({'jax', 'scipy', 'matplotlib', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

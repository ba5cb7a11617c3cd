"""All studies in one command: the order, what fails, how to go on; the studies are stand-ins."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from inception_jax import errors, study
from inception_jax.cli import main
from inception_jax.study import definition, everything, runner
from inception_jax.study.launch import Interrupted


class Stub:
    """Notes what it is asked to run; `problems` is what goes wrong, by study."""

    def __init__(self, **problems: BaseException) -> None:
        self.problems, self.ran = problems, []

    def __call__(self, name, workdir, **options):
        self.ran.append((name, workdir, options))
        if name in self.problems:
            raise self.problems[name]
        return workdir / "report.html"

    @property
    def names(self):
        return [name for name, _, _ in self.ran]


def run(stub, tmp_path, **options):
    text = io.StringIO()
    try:
        everything.run(tmp_path, console=Console(file=text, width=80), one=stub, **options)
    except errors.UserError as error:
        return text.getvalue(), error
    return text.getvalue(), None


def test_every_study_runs_once_costs_first_then_by_claim(tmp_path):
    stub = Stub()
    text, error = run(stub, tmp_path, scale="smoke", data=None, seeds=2)
    assert error is None
    assert sorted(stub.names) == study.names()
    assert stub.names[:3] == ["cost_claims", "factorization", "asymmetric"]
    assert stub.names[-1] == "clipping"  # A22
    name, folder, options = stub.ran[1]
    assert folder == tmp_path / f"{name}-smoke"
    assert (options["scale"], options["seeds"]) == ("smoke", 2)
    assert text.count(": complete") == len(stub.ran)


def test_a_failure_is_told_at_the_end_and_stops_nothing(tmp_path):
    broken = runner.TrialsFailed("3 of 9 trials failed twice", tmp_path / "report.html")
    stub = Stub(ladder=broken, stem=ZeroDivisionError("by zero"))
    text, error = run(stub, tmp_path, scale="default", launcher="local", jobs=None)
    assert sorted(stub.names) == study.names()
    assert "ladder: 3 of 9 trials failed twice" in text
    assert "stem: ZeroDivisionError('by zero')" in text
    assert str(error).startswith(f"2 of {len(stub.ran)} studies are not complete: stem, ladder;")
    assert str(error).endswith(f"inception-jax study all --workdir {tmp_path}")


def test_a_wrong_option_ends_it_at_once(tmp_path):
    stub = Stub(cost_claims=errors.UsageError("--jobs must be at least 1, got 0"))
    _, error = run(stub, tmp_path, jobs=0)
    assert isinstance(error, errors.UsageError)
    assert len(stub.ran) == 1
    _, error = run(Stub(), tmp_path, data="photos")
    assert "on their own data" in str(error)


def test_when_the_user_stops_it_the_message_goes_on_with_all(tmp_path):
    stub = Stub(asymmetric=Interrupted("stopped. To go on: inception-jax study asymmetric"))
    _, error = run(stub, tmp_path, scale="smoke")
    assert len(stub.ran) == 3
    assert isinstance(error, Interrupted)
    assert str(error).endswith(f"inception-jax study all --workdir {tmp_path} --scale smoke")


def test_early_decisions_are_of_the_studies_that_have_a_rule(tmp_path):
    stub = Stub()
    run(stub, tmp_path, early=True)
    asked = {name for name, _, options in stub.ran if options["early"]}
    assert asked == {name for name in study.names() if study.load(name).early}


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    assert main(["study", "all", "--data", "photos"]) == 2
    assert main(["study", "all", "--seeds", "0", "--workdir", str(tmp_path)]) == 2
    assert "--seeds must be at least 1" in capsys.readouterr().err
    monkeypatch.setattr(everything, "in_order", list)
    assert main(["study", "all", "--scale", "smoke"]) == 0


@pytest.mark.parametrize("scale", definition.SCALES)
def test_no_two_studies_share_a_folder(tmp_path, scale):
    stub = Stub()
    run(stub, tmp_path, scale=scale)
    folders = [folder for _, folder, _ in stub.ran]
    assert len(set(folders)) == len(folders)

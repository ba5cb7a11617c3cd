"""The noise that a plan reckons with, from folders and tables of trials."""

from __future__ import annotations

import math

import pytest
from scipy import stats as scipy_stats

from inception_jax import errors, study
from inception_jax.study import noise, report, tables

HEAD = "arm,seed,state,reason,test_top1,seconds,machine\n"
# differences of A1 (stacked_3x3 - linear): 0.01, 0.03, 0.05: sd 0.02; of A2: 0, 0.01, 0.02: 0.01
ROWS = {
    "stacked_3x3": (0.95, 0.96, 0.97),
    "stacked_3x3_linear": (0.94, 0.93, 0.92),
    "direct": (0.95, 0.95, 0.95),
}


def write(folder, rows=ROWS, state="done"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f'{arm},{seed},{state},,{value if state == "done" else ""},10.0,"cpu X, cores 1"\n'
        for arm, values in rows.items()
        for seed, value in enumerate(values)
    ]
    (folder / "trials.csv").write_text(HEAD + "".join(lines))
    return folder


@pytest.mark.parametrize("inner", ["", "factorization"])
def test_sds_are_those_of_the_paired_differences(tmp_path, inner):
    write(tmp_path / inner)
    found = noise.fit(study.load("factorization"), tmp_path)
    assert [n.kind for n in found.noises] == ["measured", "measured", "pooled", "pooled"]
    assert [n.df for n in found.noises] == [2, 2, 4, 4]
    pooled = math.sqrt((0.02**2 + 0.01**2) / 2)
    assert [n.sd for n in found.noises] == pytest.approx([0.02, 0.01, pooled, pooled])
    assert (found.seconds, found.machine) == (10.0, "cpu X")


def test_the_cautious_sd_is_the_limit_that_is_exceeded_once_in_five():
    found = noise.Noise(0.01, 7, "measured")
    # (n - 1) s^2 / sigma^2 is chi-squared: at sigma = high, s is below 0.01 in a fifth of studies
    assert scipy_stats.chi2.cdf(7 * (0.01 / found.high) ** 2, 7) == pytest.approx(0.2)
    assert noise.Noise(0.01, 0, "assumed").high == 0.01


def test_without_results_the_noise_is_assumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = noise.fit(study.load("factorization", "paper"))
    assert {(n.sd, n.kind) for n in found.noises} == {(noise.ASSUMED["paper"], "assumed")}
    assert found.seconds is None


def test_committed_results_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = noise.fit(study.load("factorization"))
    assert found.source.endswith("docs/results/factorization")
    assert {n.kind for n in found.noises} == {"measured"}
    # of other data they are no estimate
    assert {
        n.kind for n in noise.fit(study.load("factorization", data="elpv"), data="elpv").noises
    } == {"assumed"}


def test_each_question_has_the_noise_of_its_own_metric(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = noise.fit(study.load("training_time"))  # asks for the time to a level alone
    assert {n.kind for n in found.noises} == {"measured"}
    smoothing = study.load("smoothing")  # top-1, and top-5
    sds = [n.sd for n in noise.fit(smoothing).noises]
    assert len(set(sds)) == 2


def test_what_was_measured_of_one_metric_is_not_pooled_with_another(tmp_path):
    rows = {"hard": (0.5, 0.6, 0.7), "smooth": (0.5, 0.7, 0.6)}
    found = noise.fit(study.load("smoothing"), write(tmp_path, rows))
    assert [n.kind for n in found.noises] == ["measured", "assumed"]


def test_a_folder_and_its_table_say_the_same(calm, tmp_path):
    write_to = tmp_path / "trials.csv"
    write_to.write_text(report.trials_csv(tables.summarise(calm.root)))
    folder, table = (noise.fit(calm.study, place) for place in (calm.root, tmp_path))
    assert folder.noises == table.noises
    assert folder.seconds == table.seconds


@pytest.mark.parametrize("content", ["arm,seed\nx,1\n", HEAD + "direct,one,done,,0.5,1,m\n"])
def test_a_table_that_is_none_is_named(tmp_path, content):
    (tmp_path / "trials.csv").write_text(content)
    with pytest.raises(errors.UserError, match="is not a study's table"):
        noise.fit(study.load("factorization"), tmp_path)


def test_results_without_a_pair_are_an_error(tmp_path):
    for rows, state in (({"other": (0.5, 0.6)}, "done"), (ROWS, "missing")):
        with pytest.raises(errors.UserError, match="holds no two seeds"):
            noise.fit(study.load("factorization"), write(tmp_path, rows, state))


def test_arms_that_never_differ_have_no_noise_of_their_own(tmp_path):
    write(tmp_path, {**ROWS, "asymmetric": (0.9, 0.9), "stacked_2x2": (0.9, 0.9)})
    found = noise.fit(study.load("factorization"), tmp_path).noises[2]
    assert found.kind == "pooled"
    assert found.sd > 0

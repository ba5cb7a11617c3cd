"""Early decisions: their error by simulation, what they stop, and what the report says of it."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console
from scipy import stats as scipy_stats

from inception_jax import errors
from inception_jax.bench import folder as simulated
from inception_jax.bench.folder import Simulated
from inception_jax.study import early, runner, sequential, serialization, stats, store
from inception_jax.study.definition import Arm, Early, Question, Study
from inception_jax.study.launch import Event, Interrupted, Job
from inception_jax.study.sequential import Looks
from inception_jax.study.store import Trial

ARMS = tuple(Arm(name, name) for name in ("a", "b", "c", "d"))
QUESTIONS = (
    Question("A1", "b beats a.", "b", "a"),
    Question("A2", "c is as good as a.", "c", "a", "equivalent", margin=0.02),
    Question("A3", "c is no worse than b.", "c", "b", "greater", margin=0.01),
)


def study(questions=QUESTIONS, arms=ARMS, seeds=8, rule=None) -> Study:
    rule = rule or Early()
    return Study("x", "X", "?", "mnist5k.py", "digits", arms, questions, seeds=seeds, early=rule)


def trials(described: Study, **values) -> list[Trial]:
    """Every trial; an arm's values are those of its first seeds, None is one that failed."""
    found = []
    for arm in described.arms:
        own = values.get(arm.name, [])
        for seed in range(described.seeds):
            if seed >= len(own):
                found.append(Trial(arm.name, seed, "missing"))
            elif own[seed] is None:
                found.append(Trial(arm.name, seed, "failed"))
            else:
                metrics = {"test_top1": own[seed]}
                found.append(Trial(arm.name, seed, "done", metrics, {"seconds": 60.0}))
    return found


NOISE = np.array([0.001, -0.002, 0.0015, 0.0, -0.001, 0.002, -0.0005, 0.0008])


def test_a_question_waits_for_its_look():
    described = study(QUESTIONS[:1])
    found = early.decide(described, trials(described, a=[0.5] * 8, b=list(0.6 + NOISE[:3])))
    assert (found[0].verdict, found[0].seeds, found[0].looks) == ("inconclusive", 0, 0)
    found = early.decide(described, trials(described, a=[0.5] * 8, b=list(0.6 + NOISE[:4])))
    assert (found[0].verdict, found[0].seeds, found[0].looks) == ("supported", 4, 1)


def test_what_came_after_the_look_that_settled_it_changes_nothing():
    described = study(QUESTIONS[:1])
    values = np.concatenate([0.6 + NOISE[:4], 0.4 + NOISE[4:]])
    found = early.decide(described, trials(described, a=[0.5] * 8, b=list(values)))
    assert (found[0].verdict, found[0].seeds) == ("supported", 4)
    assert found[0].comparison is not None
    assert found[0].comparison.n == 4


@pytest.mark.parametrize(
    ("question", "value", "verdict"),
    [
        (Question("A", "", "b", "a"), 0.4, "contradicted"),
        (Question("A", "", "b", "a", "less"), 0.4, "supported"),
        (Question("A", "", "b", "a", "less", margin=0.05), 0.5, "supported"),
        (Question("A", "", "b", "a", "equivalent", margin=0.05), 0.5, "supported"),
        (Question("A", "", "b", "a", "equivalent", margin=0.05), 0.6, "contradicted"),
        (Question("A", "", "b", "a", "greater", margin=0.05), 0.4, "contradicted"),
    ],
)
def test_every_kind_of_question_may_be_settled_on_either_side(question, value, verdict):
    described = study((question,))
    found = early.decide(described, trials(described, a=[0.5] * 4, b=list(value + NOISE[:4])))
    assert (found[0].verdict, found[0].seeds) == (verdict, 4)


def test_a_failed_trial_leaves_its_pair_out_and_the_look_is_taken():
    described = study(QUESTIONS[:1])
    values = [0.6, None, 0.602, 0.599, 0.601, 0.6]
    found = early.decide(described, trials(described, a=[0.5] * 6, b=values))
    assert found[0].comparison is not None
    assert (found[0].comparison.n, found[0].seeds) == (5, 6)  # three pairs are no look


@pytest.mark.parametrize("seeds", [2, 3])
def test_with_few_seeds_the_only_look_is_the_plain_test_at_the_end(seeds):
    described = study(QUESTIONS[:1], seeds=seeds)
    assert early.seeds_of_looks(described) == (seeds,)
    first, second = [0.5] * seeds, list(0.6 + NOISE[:seeds])
    found = early.decide(described, trials(described, a=first, b=second))
    assert found[0].comparison == stats.compare(second, first)


def test_looks_are_shares_of_what_was_planned_before_the_first_result():
    described = dataclasses.replace(study(), seeds=20, planned_seeds=10)
    assert early.seeds_of_looks(described) == (5, 8, 10)
    assert early.seeds_of_looks(study(rule=Early((0.1, 0.2, 1.0)))) == (8,)


def test_only_arms_that_no_open_question_needs_are_stopped():
    described = study()
    found = early.decide(described, trials(described))
    assert early.needed(described, found) == {"a", "b", "c", "d"}
    settled = [dataclasses.replace(decision, seeds=4) for decision in found]
    assert early.needed(described, settled) == {"d"}  # nobody asks of it
    assert early.needed(described, [settled[0], settled[1], found[2]]) == {"b", "c", "d"}


def test_an_arm_that_an_open_question_evaluates_runs_on():
    arms = (Arm("a", "a"), Arm("b", "b"), Arm("both", "both", members=("a", "b")))
    questions = (Question("A", "", "both", "a"), Question("B", "", "b", "a"))
    described = study(questions, arms)
    found = early.decide(described, trials(described))
    found = [found[0], dataclasses.replace(found[1], seeds=4)]
    assert early.needed(described, found) == {"a", "b", "both"}


def test_holm_frees_the_share_of_what_is_settled():
    """A p between 5 %/3 and 5 % is enough once the two other questions are settled."""
    questions = tuple(Question(f"A{i}", "", arm, "a") for i, arm in enumerate("bcd"))
    described = study(questions, seeds=4)
    clear, close, noisy = (list(0.1 + NOISE[:4] * scale) for scale in (1, 34, 200))
    assert 0.05 / 3 < stats.compare(close, [0.0] * 4).p < 0.05

    def verdicts(b, c):
        found = early.decide(described, trials(described, a=[0.0] * 4, b=b, c=c, d=close))
        return [decision.verdict for decision in found]

    assert verdicts(clear, clear) == ["supported"] * 3
    assert verdicts(noisy, noisy) == ["inconclusive"] * 3


def vectorised(differences: np.ndarray, looks: Looks) -> np.ndarray:
    """int[studies, questions]: the look at which each is settled, 0 for never; Holm by hand."""
    found = [scipy_stats.ttest_1samp(differences[..., :n], 0.0, axis=-1)[1] for n in looks.pairs]
    p = np.stack([np.asarray(one) for one in found], axis=-1)
    mean = np.stack([differences[..., :n].mean(axis=-1) for n in looks.pairs], axis=-1)
    settled = np.zeros(differences.shape[:2], int)
    held = np.ones(differences.shape[:2])
    for look in range(len(looks.pairs)):
        same = np.sign(mean[..., : look + 1]) == np.sign(mean[..., look : look + 1])
        now = looks.sequential_p(np.where(same, p[..., : look + 1], 1.0))[..., -1]
        held = np.where(settled > 0, held, now)
        order = np.argsort(held, axis=1)
        ranked = np.take_along_axis(held, order, axis=1)
        factors = np.arange(held.shape[1], 0, -1)
        adjusted = np.maximum.accumulate(np.minimum(1.0, ranked * factors), axis=1)
        rejected = np.zeros_like(settled, bool)
        np.put_along_axis(rejected, order, adjusted < 0.05, axis=1)
        settled = np.where((settled == 0) & rejected, look + 1, settled)
    return settled


def three_questions(draws: int, effects, seed: int) -> np.ndarray:
    """f[draws, 3, 8]: differences of three arms with one baseline, which they share."""
    rng = np.random.default_rng(seed)
    arms = rng.standard_normal((draws, 4, 8))
    return arms[:, 1:] - arms[:, :1] + np.asarray(effects)[:, None] * np.sqrt(2)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize(
    ("effects", "null"),
    [((0.0, 0.0, 0.0), (0, 1, 2)), ((2.0, 0.0, 0.0), (1, 2)), ((2.0, 2.0, 0.0), (2,))],
)
def test_the_chance_of_any_false_verdict_stays_below_5_percent(spending, effects, null):
    """Strong control, also where some questions have a true effect and free their share."""
    draws = 20_000
    looks = Looks((4, 6, 8), (0.5, 0.75, 1.0), spending)
    settled = vectorised(three_questions(draws, effects, seed=3), looks)
    false = int((settled[:, list(null)] > 0).any(axis=1).sum())
    assert scipy_stats.binomtest(false, draws, 0.05, alternative="greater").pvalue > 1e-3
    assert false / draws > 0.02  # it is no guarantee for nothing


def test_it_finds_what_a_single_look_finds_and_saves_seeds():
    draws = 20_000
    differences = three_questions(draws, (2.0, 2.0, 2.0), seed=4)
    one = vectorised(differences, Looks((8,), (1.0,)))
    looks = Looks((4, 6, 8), (0.5, 0.75, 1.0))
    more = vectorised(differences, looks)
    assert (more > 0).mean() > (one > 0).mean() - 0.03
    used = np.array([8, 4, 6, 8])[more].mean()
    assert used < 7.0


def test_uneven_accuracies_of_few_images_keep_the_error_too():
    """Accuracies are counts of right images, not normal: 360 images, 95 % right."""
    draws = 20_000
    rng = np.random.default_rng(5)
    right = rng.binomial(360, 0.95, (draws, 4, 8)) / 360
    differences = right[:, 1:] - right[:, :1] + rng.normal(0, 1e-9, (draws, 3, 8))  # no ties
    settled = vectorised(differences, Looks((4, 6, 8), (0.5, 0.75, 1.0)))
    false = int((settled > 0).any(axis=1).sum())
    assert scipy_stats.binomtest(false, draws, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.slow
def test_the_simulation_decides_as_the_study_does():
    differences = three_questions(10, (1.5, 0.8, 0.0), seed=6)
    simulated = vectorised(differences, Looks((4, 6, 8), (0.5, 0.75, 1.0)))
    questions = tuple(Question(f"A{i}", "", arm, "a") for i, arm in enumerate("bcd"))
    described = study(questions)
    for drawn, wanted in zip(differences, simulated, strict=True):
        arms = {"a": [0.0] * 8, **{arm: list(drawn[i]) for i, arm in enumerate("bcd")}}
        found = early.decide(described, trials(described, **arms))
        assert [decision.seeds for decision in found] == [[0, 4, 6, 8][look] for look in wanted]


def test_the_interval_holds_at_every_look():
    looks = Looks((4, 6, 8), (0.5, 0.75, 1.0))
    critical = [stats.critical(n, a) for n, a in zip(looks.pairs, looks.levels(), strict=True)]
    drawn = np.random.default_rng(7).standard_normal((20_000, 8))
    missed = np.zeros(len(drawn), bool)
    for n, width in zip(looks.pairs, critical, strict=True):
        half = width * drawn[:, :n].std(axis=1, ddof=1) / np.sqrt(n)
        missed |= np.abs(drawn[:, :n].mean(axis=1)) > half
    assert scipy_stats.binomtest(int(missed.sum()), len(drawn), 0.05).pvalue > 1e-3
    compared = [stats.compare(drawn[0, :n], np.zeros(n)) for n in looks.pairs]
    found = early.over_looks(looks, compared)
    half = critical[-1] * compared[-1].sd / np.sqrt(8)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def run(root, described: Study, value) -> list[tuple[str, int]]:
    """Runs the study with trials that end at once; the jobs that ran."""
    launcher = Simulated(value)
    console = Console(file=io.StringIO())
    runner.run_study(described, root, launcher, console, count=lambda *_: None)
    return [(job.arm, job.seed) for job in launcher.ran]


def value(job: Job) -> float:
    """b is far better than a; c is the same but for noise that four seeds do not settle."""
    offset = {"a": 0.0, "b": 0.1, "c": 8 * NOISE[-job.seed], "d": 0.0}[job.arm]
    return 0.5 + offset + NOISE[job.seed]


def test_a_study_stops_what_is_settled_and_reports_what_it_saved(tmp_path):
    questions = (QUESTIONS[0], Question("A2", "c beats a.", "c", "a"))
    arms = (*ARMS[:3], Arm("late", "late"))
    described = study(questions, arms)
    ran = run(tmp_path / "s", described, lambda job: value(job) if job.arm != "late" else 0.5)
    assert {arm for arm, seed in ran if seed > 3} == {"a", "c", "late"}  # a: A2 is open
    assert len(ran) == 28
    page = (tmp_path / "s" / "report.md").read_text()
    assert "Spared: 4 of 32 trials, about 0.1 min" in page
    assert "looks at 4, 6 and 8 seeds" in page
    assert "Settled at a number of seeds: A1 at 4; not settled: A2." in page
    assert "Unfinished" not in page
    assert (tmp_path / "s" / "trials.csv").read_text().count(",spared,") == 4
    assert run(tmp_path / "s", described, value) == []
    assert (tmp_path / "s" / "report.md").read_text() == page


@pytest.mark.slow
def test_a_study_that_is_resumed_decides_what_a_calm_one_decides(tmp_path):
    described = study((QUESTIONS[0], Question("A2", "c beats a.", "c", "a")))

    def fragile(job: Job) -> float:
        if job.arm == "c" and job.seed == 5:
            raise KeyboardInterrupt
        return value(job)

    run(tmp_path / "calm", described, value)
    with pytest.raises(Interrupted, match="To go on: inception-jax study x"):
        run(tmp_path / "other", described, fragile)
    again = run(tmp_path / "other", described, value)
    assert again[0] == ("c", 5)
    assert not {arm for arm, _ in again} & {"b"}
    for name in ("report.md", "trials.csv"):
        assert (tmp_path / "other" / name).read_text() == (tmp_path / "calm" / name).read_text()


def test_the_rule_is_a_part_of_what_the_folder_was_registered_for(tmp_path):
    described = study()
    again = serialization.from_dict(serialization.to_dict(described))
    assert again == described
    assert early.seeds_of_looks(again) == (4, 6, 8)
    store.register(tmp_path / "s", described)
    with pytest.raises(errors.UserError, match="with other early"):
        store.register(tmp_path / "s", dataclasses.replace(described, early=None))


def test_without_a_rule_there_is_one_wave(tmp_path):
    described = dataclasses.replace(study(), early=None)
    jobs = [Job("a", seed, tmp_path) for seed in range(3)]
    assert list(early.waves(tmp_path, described, jobs, lambda job: pytest.fail(str(job)))) == [jobs]


@pytest.mark.parametrize("looks", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (0.5, 1.5)])
def test_looks_that_do_not_rise_to_the_end_are_refused(looks):
    with pytest.raises(ValueError, match="looks must rise to 1"):
        Early(looks)


def test_a_counted_metric_has_no_early_looks():
    with pytest.raises(ValueError, match="early looks are for t tests"):
        study((Question("A22", "", "b", "a", metric="diverged"),))
    assert set(sequential.SPENDING) == {"obrien_fleming", "pocock"}


class Failing(Simulated):
    """As `Simulated`, but some trials fail."""

    def __init__(self, failing: set[tuple[str, int]]) -> None:
        super().__init__(value)
        self._failing = failing

    def launch(self, jobs, report):
        for job in jobs:
            if (job.arm, job.seed) in self._failing:
                store.write_json(job.folder / "failure.json", {"reason": "out of memory"})
                report(Event(job, "failed", "out of memory"))
            else:
                super().launch([job], report)


def test_what_a_look_had_to_do_without_stays_out_though_it_runs_later(tmp_path):
    described, console = study(QUESTIONS[:1]), Console(file=io.StringIO())
    root, failing = tmp_path / "s", Failing({("b", 2)})
    with pytest.raises(runner.TrialsFailed):
        runner.run_study(described, root, failing, console, count=lambda *_: None)
    assert early.left_out(root) == {("b", 2)}
    (before,) = early.read(root, described)
    assert (before.verdict, before.seeds) == ("supported", 6)
    again = Failing(set())
    runner.run_study(described, root, again, console, count=lambda *_: None)
    assert ("b", 2) in {(job.arm, job.seed) for job in again.ran} or not again.ran
    store.write_json(root / "trials" / "b" / "seed-2" / "failure.json", {})
    simulated.write(Job("b", 2, root / "trials" / "b" / "seed-2"), 0.0)  # which would turn it round
    (after,) = early.read(root, described)
    assert after == before
    assert early.decide(described, store.read_trials(root, described))[0].verdict != "supported"


@pytest.mark.parametrize("held", [[], {"left_out": 3}, {"left_out": [["a"], ["b", "x"], 4]}])
def test_the_note_of_the_looks_is_data(tmp_path, held):
    store.write_json(tmp_path / early.LOOKS_FILE, held)
    assert early.left_out(tmp_path) == frozenset()

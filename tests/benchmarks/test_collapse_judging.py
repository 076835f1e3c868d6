"""Judging: every answer by a head that saw neither dataset nor source; cards, groups and leads add up."""

import numpy as np
import pytest

from benchmarks.collapse.judging import Answers, answer, by_group, card, differences
from benchmarks.collapse.protocol import Cases, LeakError, figures


def cases(n=240, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    harm = rng.choice([0.0, 0.1, 0.3], n, p=[0.45, 0.1, 0.45]) + rng.normal(0, 0.02, n)
    datasets, sources = (np.array([f"{kind}{i % count}" for i in range(n)]) for kind, count in (("d", 8), ("s", 5)))
    features = {"good": 10 * harm + rng.normal(0, noise, n), "poor": harm + rng.normal(0, 0.5, n)}
    return Cases(np.array([f"c{i}" for i in range(n)]), datasets, sources, harm, features)


@pytest.fixture(scope="module")
def judged():
    known = cases()
    return known, answer(known, ["good"], workers=1), answer(known, ["poor"], workers=1)


def test_every_case_is_answered_and_a_good_feature_answers_well(judged):
    known, good, poor = judged
    for answers in (good, poor):
        assert np.isfinite(answers.probability).all()
        assert not (answers.approve & answers.reject).any()
        np.testing.assert_array_equal(answers.review, ~answers.approve & ~answers.reject)
    assert card(known, good, 20)["clear"]["auroc"][0] > 0.98
    lead = differences(known, good, poor, 50)
    for value, low, high in lead.values():
        assert low <= value <= high
        assert value > 0


def test_the_card_is_that_of_the_figures(judged):
    known, good, _ = judged
    found = card(known, good, 20)
    expected = figures(good.probability[known.clear], known.harm[known.clear], good.collapsed[known.clear])
    for name in ("auroc", "accuracy", "fpr", "fnr"):
        value, low, high = found["clear"][name]
        assert value == pytest.approx(expected[name], abs=1e-4)
        assert low <= value <= high
    assert found["clear"]["ece"] == [pytest.approx(expected["ece"], abs=1e-4)]
    assert found["clear"]["cases"] == [int(known.clear.sum())]


def test_cases_that_do_not_teach_are_judged_and_move_no_other_answer():
    known = cases()
    silent = np.arange(len(known)) % 4 == 0
    first = answer(known, ["good"], workers=1, teach=~silent)
    poisoned = Cases(
        known.ids, known.datasets, known.sources, np.where(silent, 1.0 - known.harm, known.harm), known.features
    )
    second = answer(poisoned, ["good"], workers=1, teach=~silent)
    np.testing.assert_array_equal(first.probability, second.probability)
    assert np.isfinite(first.probability[silent]).all()
    # Were they to teach, the answers would move.
    assert np.abs(answer(poisoned, ["good"], workers=1).probability - first.probability).max() > 0.05


def test_with_abstention_only_what_was_said_counts():
    known = cases(60)
    positive = known.positive
    # Says review on every third case, and is right on all others, whatever its probability's side of one half.
    review = np.arange(60) % 3 == 0
    answers = Answers(np.where(positive, 0.4, 0.2), positive, ~review & ~positive, ~review & positive)
    found = card(known, answers, 20)["abstaining"]
    assert found["accuracy"][0] == 1.0
    assert found["fnr"][0] == found["fpr"][0] == 0.0
    assert found["review_share"][0] == pytest.approx(review[known.clear].mean(), abs=1e-4)
    wrong = Answers(answers.probability, positive, answers.reject, answers.approve)
    assert card(known, wrong, 20)["abstaining"]["fnr"][0] == 1.0


def test_errors_by_group_are_counted_on_clear_cases(judged):
    known, good, _ = judged
    found = by_group(known, good, known.sources)
    assert sum(each["healthy"] + each["collapsed"] for each in found.values()) == known.clear.sum()
    wrong = known.clear & (good.collapsed != known.positive)
    assert sum(each["misses"] + each["false_alarms"] for each in found.values()) == wrong.sum()


def test_a_planted_leak_is_caught(judged):
    known = judged[0]
    # A case filed a second time under another dataset and source: held out by name, yet seen in training.
    twin = known.take(np.arange(1))
    twin = Cases(np.array(["twin"]), np.array(["other"]), np.array(["elsewhere"]), twin.harm, twin.features)
    leaky = Cases(
        *(np.concatenate([getattr(known, f), getattr(twin, f)]) for f in ("ids", "datasets", "sources", "harm")),
        {name: np.concatenate([known.features[name], twin.features[name]]) for name in known.features},
    )
    with pytest.raises(LeakError):
        answer(leaky, ["good"], workers=1)

"""The protocol that judges the verdict: what fits never sees what judges, and its figures are the textbook's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from benchmarks.collapse.protocol import (
    Cases,
    LeakError,
    check_apart,
    cluster_intervals,
    expected_calibration_error,
    figures,
    folds_by_dataset,
    leave_both_out,
)


def cases(num_datasets=8, num_sources=6, repeats=3, seed=0):
    rng = np.random.default_rng(seed)
    grid = [(d, s, r) for d in range(num_datasets) for s in range(num_sources) for r in range(repeats)]
    d, s, _ = np.array(grid).T
    harm = rng.gamma(0.8, 0.2, len(grid))
    return Cases(
        ids=np.array([f"{a}/{b}/{c}" for a, b, c in grid]),
        datasets=np.array([f"d{a}" for a in d]),
        sources=np.array([f"s{b}" for b in s]),
        harm=harm,
        features={"signal": harm + 0.05 * rng.standard_normal(len(grid)), "dataset": d + 0.01 * rng.random(len(grid))},
    )


def logistic(names):
    def fit(train):
        x = np.column_stack([train.features[name] for name in names])
        model = LogisticRegression(C=100.0, max_iter=1_000).fit(x, train.harm > 0.1)
        return lambda test: model.predict_proba(np.column_stack([test.features[name] for name in names]))[:, 1]

    return fit


def test_every_case_is_predicted_by_a_model_that_saw_neither_its_dataset_nor_its_source():
    seen = []

    def fit(train):
        def predict(test):
            seen.append((set(train.datasets) & set(test.datasets), set(train.sources) & set(test.sources)))
            return np.full(len(test), 0.5)

        return predict

    predictions = leave_both_out(cases(), fit)
    assert np.isfinite(predictions).all()
    assert len(seen) == 8 * 6
    assert all(not datasets and not sources for datasets, sources in seen)


@pytest.mark.parametrize(
    ("what", "select"),
    [
        ("datasets", lambda c, dataset, source: c.sources != source),
        ("sources", lambda c, dataset, source: c.datasets != dataset),
        ("ids", lambda c, dataset, source: np.ones(len(c), bool)),
    ],
)
def test_a_planted_leak_is_caught(what, select):
    with pytest.raises(LeakError, match=what):
        leave_both_out(cases(), logistic(["signal"]), select)


def test_a_case_filed_twice_under_other_names_is_caught():
    whole = cases()
    train, test = whole.take(np.arange(10)), whole.take(np.arange(10))
    renamed = Cases(
        np.array([f"x{i}" for i in range(10)]),
        np.array(["other"] * 10),
        np.array(["elsewhere"] * 10),
        test.harm,
        test.features,
    )
    with pytest.raises(LeakError, match="row of features"):
        check_apart(train, renamed)


def test_a_real_signal_survives_and_a_memory_of_datasets_does_not():
    whole = cases()
    signal = figures(leave_both_out(whole, logistic(["signal"])), whole.harm)
    assert signal["auroc"] > 0.95
    assert signal["spearman"] > 0.8
    memory = figures(leave_both_out(whole, logistic(["dataset"])), whole.harm)
    assert memory["auroc"] < 0.7


def test_figures_match_scikit_learn():
    rng = np.random.default_rng(1)
    harm, p = rng.random(300) * 0.3, np.round(rng.random(300), 2)
    positive = harm > 0.1
    found = figures(p, harm)
    assert found["auroc"] == pytest.approx(roc_auc_score(positive, p))
    assert found["brier"] == pytest.approx(brier_score_loss(positive, p))
    assert found["fpr"] == pytest.approx(np.mean(p[~positive] >= 0.5))
    assert found["fnr"] == pytest.approx(np.mean(p[positive] < 0.5))
    review = (p > 0.25) & (p < 0.75)
    abstaining = figures(p, harm, review=review)
    assert abstaining["review_share"] == pytest.approx(review.mean())
    assert abstaining["fnr"] == pytest.approx(np.mean(p[positive & ~review] < 0.5))


def test_calibration_error_of_honest_and_of_overconfident_probabilities():
    rng = np.random.default_rng(2)
    p = rng.random(20_000)
    positive = rng.random(20_000) < p
    assert expected_calibration_error(p, positive) < 0.02
    assert expected_calibration_error(np.full(100, 0.9), np.arange(100) < 50) == pytest.approx(0.4)


def test_intervals_over_datasets_are_wider_than_over_cases_where_datasets_differ():
    rng = np.random.default_rng(3)
    datasets = np.repeat([f"d{i}" for i in range(12)], 50)
    values = np.repeat(rng.random(12), 50) + 0.01 * rng.random(600)
    low, high = cluster_intervals(lambda rows: {"mean": values[rows].mean()}, datasets)["mean"]
    naive = 4 * values.std() / np.sqrt(600)
    assert low < values.mean() < high
    assert high - low > 3 * naive


def test_folds_keep_datasets_whole():
    whole = cases()
    folds = folds_by_dataset(whole, 4)
    assert set(folds) == {0, 1, 2, 3}
    assert all(len(set(folds[whole.datasets == name])) == 1 for name in set(whole.datasets))

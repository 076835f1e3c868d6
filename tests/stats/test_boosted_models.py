"""Boosted trees on values: LightGBM's, and scikit-learn's where it is not there."""

import numpy as np
import pytest

from vr.stats import boosted_models
from vr.stats.boosted_models import predict_classes, predict_number

NUMBERS = np.zeros(3, bool)


def rows_of(seed, rows=600):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 3))
    return x, x[:, 0] + np.sin(2.0 * x[:, 1]) + 0.3 * rng.standard_normal(rows)


@pytest.fixture(params=["lightgbm", "scikit-learn"])
def library(request, monkeypatch):
    if request.param == "scikit-learn":
        monkeypatch.setattr(boosted_models, "lightgbm", None)
    elif boosted_models.lightgbm is None:
        pytest.skip("LightGBM cannot be loaded")
    return request.param


def test_a_number_is_predicted_on_rows_that_were_not_seen(library):
    (x, y), (x_test, y_test) = rows_of(0), rows_of(1)
    error = np.mean((predict_number(x, y, x_test, NUMBERS, 0) - y_test) ** 2)
    assert error < 0.35 * np.var(y_test)


def test_both_libraries_lose_about_as_much(monkeypatch):
    if boosted_models.lightgbm is None:
        pytest.skip("LightGBM cannot be loaded")
    (x, y), (x_test, y_test) = rows_of(0), rows_of(1, rows=4_000)
    errors = [np.mean((predict_number(x, y, x_test, NUMBERS, 0) - y_test) ** 2)]
    monkeypatch.setattr(boosted_models, "lightgbm", None)
    errors.append(np.mean((predict_number(x, y, x_test, NUMBERS, 0) - y_test) ** 2))
    assert errors[0] == pytest.approx(errors[1], rel=0.2)


def test_classes_have_probabilities_and_one_that_was_not_seen_has_none(library):
    (x, y), (x_test, y_test) = rows_of(0), rows_of(1)
    label, label_test = (np.digitize(each, [-0.7, 0.7]) for each in (y, y_test))
    found = predict_classes(x, label, x_test, NUMBERS, 4, 0)
    assert found.shape == (600, 4)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert found[:, 3] == pytest.approx(0.0)
    assert np.mean(found.argmax(axis=1) == label_test) > 0.65


def test_two_classes_are_told_apart_by_a_category_and_by_what_is_missing(library):
    rng = np.random.default_rng(0)
    # Odd numbers of a category mean one class, and so does nothing.
    x = rng.integers(0, 8, (2_000, 1)).astype(float)
    label = (x[:, 0] % 2 == 1).astype(int)
    gone = rng.random(2_000) < 0.2
    x[gone], label[gone] = np.nan, 1
    found = predict_classes(x[:1_000], label[:1_000], x[1_000:], np.ones(1, bool), 2, 0)[:, 1]
    assert np.mean((found > 0.5) == (label[1_000:] == 1)) == 1.0


def test_what_teaches_nothing_is_predicted_by_its_frequencies(library):
    x = np.zeros((50, 3))
    assert predict_number(x, np.full(50, 2.0), x[:4], NUMBERS, 0) == pytest.approx(2.0)
    assert predict_number(x[:0], np.empty(0), x[:4], NUMBERS, 0) == pytest.approx(0.0)
    # A class of one row is none.
    labels = np.array([0] * 49 + [2])
    assert predict_classes(x, labels, x[:2], NUMBERS, 3, 0) == pytest.approx(np.array([[0.98, 0.0, 0.02]] * 2))
    assert predict_classes(x[:0], labels[:0], x[:2], NUMBERS, 3, 0) == pytest.approx(0.0)


def test_rows_set_aside_have_their_part_of_every_class():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    aside = boosted_models._aside(labels, 3, 0)
    assert np.bincount(labels[aside]).tolist() == pytest.approx([105, 30, 15], abs=2)
    assert boosted_models._aside(np.zeros(3), 1, 0).sum() == 1


def test_one_seed_gives_one_answer(library):
    (x, y), (x_test, _) = rows_of(0), rows_of(1)
    found = [predict_number(x, y, x_test, NUMBERS, seed) for seed in (0, 0, 1)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])

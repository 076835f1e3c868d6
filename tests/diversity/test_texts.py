"""Variety of texts: fresh ones within the null, repeated and copied ones beyond it."""

import numpy as np
import pyarrow as pa
import pytest

from vr.diversity.texts import METRICS, text_variety


def texts(rows, seed, num_words=400, length=9):
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(np.random.default_rng([5, i]).choice(letters, 6)) for i in range(num_words)]
    return [" ".join(rng.choice(words, length)) for _ in range(rows)]


def found(own, theirs=None):
    tables = (None if rows is None else pa.table({"note": rows}) for rows in (own, theirs))
    return text_variety(*tables, ["note"], 0)["note"]


def z(feature, name):
    return (feature.value - feature.null_mean) / np.hypot(feature.null_std, METRICS[name].floor)


def test_fresh_texts_lie_within_the_null():
    features = found(texts(500, 1), texts(900, 0))
    assert all(abs(z(features[name], name)) < 4 for name in METRICS)
    assert features["near_repeats"].value == 0.0


def test_texts_of_few_words_are_fewer_and_repeated_ones_repeat():
    reference = texts(900, 0)
    assert z(found(texts(500, 1, num_words=12), reference)["different"], "different") < -10
    # A word of nine is another one: most n-grams stay.
    once = texts(120, 1, length=60)
    changed = [text[:-6] + "zzzzzz" for text in once]
    assert found(once + changed, texts(900, 0, length=60))["near_repeats"].value > 0.9


def test_texts_of_the_reference_are_copies():
    reference = texts(800, 0)
    copies = found(reference, reference)["near_copies"]
    # Half of the reference is held against; some of it is drawn.
    assert copies.value == pytest.approx(0.5, abs=0.1)
    assert copies.null_mean == 0.0


def test_alone_and_with_few_rows_it_says_why():
    alone = found(texts(200, 1))
    assert alone["near_copies"].value is None
    assert alone["different"].value > 5
    assert found(texts(5, 1))["different"].reason.startswith("texts need 20")
    assert found([None, "a text", None], texts(100, 0))["different"].value is None
    same = found(["one and the same text"] * 50)
    assert same["different"].value == pytest.approx(1.0, abs=1e-4)
    assert same["near_repeats"].value == 1.0

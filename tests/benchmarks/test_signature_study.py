"""The page of the pre-screen says what the committed results say, and the results are of the shipped files."""

import json

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.collapse import signature_study as study
from benchmarks.collapse.accuracy_page import fill
from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.protocol import Cases, check_apart
from benchmarks.collapse.signatures_page import PAGE, tables
from benchmarks.measure import RESULTS
from experiments import fit_signatures
from vr.signatures.components import NAMES
from vr.signatures.document import load_shipped, to_text
from vr.signatures.prescreen import load_prescreen


def test_the_page_is_of_the_committed_results():
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        assert fill(page, name, lines) == page, name


def test_the_shipped_card_is_that_of_the_results():
    assert load_prescreen().card == json.loads((RESULTS / "signatures.json").read_text(encoding="utf-8"))["card"]


def test_what_is_shipped_is_what_the_labelled_cases_give():
    everything, table = load_cases(["features"], seen=True)
    apart = ~np.array(table["seen"])
    cases, rows = everything.take(apart), table.filter(pa.array(apart)).to_pylist()
    features = fit_signatures.features_of(rows)
    found = sorted(map(fit_signatures.signature_of, rows, features), key=lambda each: each.id)
    shipped = load_shipped()
    assert to_text(found, shipped.provenance) == to_text(shipped.signatures, shipped.provenance)
    head, fitted = fit_calibrated(cases, NAMES), load_prescreen()
    # Another processor rounds another way, and the fit ends within its tolerance.
    assert head.reject_from == pytest.approx(fitted.calibrated.reject_from, abs=2e-3)
    said, expected = (each.probability(cases.features) for each in (head, fitted.calibrated))
    np.testing.assert_allclose(said, expected, atol=2e-3)
    outside = study.outside(cases)
    assert outside == json.loads((RESULTS / "signatures.json").read_text(encoding="utf-8"))["outside"]
    assert outside["threshold"] == fitted.outside_below


def made_up(number=400):
    rng = np.random.default_rng(0)
    harm = np.where(rng.random(number) < 0.5, 0.0, 0.4)
    names = [np.char.add(word, rng.integers(many, size=number).astype(str)) for word, many in (("d", 20), ("s", 12))]
    features = {name: rng.standard_normal(number) + 5.0 * harm for name in NAMES}
    return Cases(np.array([f"c{i}" for i in range(number)]), *names, harm, features)


def test_nothing_answers_for_a_dataset_or_source_that_it_has_seen(monkeypatch):
    cases, seen = made_up(), []

    def scores(training, testing):
        check_apart(training, testing)
        seen.append((training, testing))
        return {name: testing.harm for name in study.METHODS}

    monkeypatch.setattr(study, "scores", scores)
    study.choose(cases)
    # Every case is answered for once.
    assert sorted(np.concatenate([testing.ids for _, testing in seen])) == sorted(cases.ids)

    class Fitted:
        reject_from = 0.9

        def __init__(self, training):
            self.training = training

        def probability(self, features):
            held = cases.take(np.isin(cases.features[NAMES[0]], features[NAMES[0]]))
            check_apart(self.training, held)
            answered.extend(held.ids)
            return held.harm

    answered: list[str] = []
    monkeypatch.setattr(study, "fit_calibrated", lambda training, _: Fitted(training))
    monkeypatch.setattr(study, "choose", lambda training: "head")
    monkeypatch.setattr(study, "_calibrated_nearest", lambda *_: lambda testing: (testing.harm, testing.positive))
    found, _ = study.judged(cases, np.ones(len(cases), bool), workers=1)
    assert sorted(answered) == sorted(cases.ids)
    assert found.probability.tolist() == cases.harm.tolist()


def test_a_threshold_held_out_is_of_the_other_datasets():
    rng = np.random.default_rng(1)
    pairs, datasets = rng.random((30, 30)), np.repeat(["a", "b", "c"], 10)
    others = datasets != "b"
    alone = study._threshold(pairs[np.ix_(others, others)], datasets[others])
    assert study._threshold(pairs, datasets, without="b") == alone != study._threshold(pairs, datasets)

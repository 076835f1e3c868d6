"""The kept networks are those that the report's losses are of, whether trained now or found again."""

import json

import numpy as np
import pytest

from tests.cascade.test_train import NUM_CODES, config, table
from vr.cascade.networks import packed
from vr.cascade.train import run_cascade

COLUMNS = np.arange(len(NUM_CODES))


def trained(saved=None, **options):
    tables = table(1_000, 0), table(600, 1)
    return run_cascade(*tables, NUM_CODES, config(), 0, saved={} if saved is None else saved, **options)


@pytest.fixture(scope="module")
def saved():
    return {}


@pytest.fixture(scope="module")
def kept(saved):
    return trained(saved, keep_networks=True)


def losses(networks, arm, seed, codes):
    found = networks.last_layer(arm, seed, codes, COLUMNS)
    return -np.log(np.take_along_axis(found.probabilities, codes.T.astype(int)[:, :, None], axis=2)[:, :, 0])


def test_the_networks_lose_on_held_out_rows_what_the_report_says(kept):
    networks = kept.networks
    told = {(model.seed, model.arm): model.loss for model in kept.models if model.tier == "small"}
    assert len(networks) == 3
    for seed in range(3):
        for arm in ("reference", "candidate"):
            found = losses(networks, arm, seed, networks.reference[networks.held_out[seed]])
            assert found.mean() == pytest.approx(told[seed, arm], abs=1e-5)


def test_no_seed_is_judged_by_rows_that_it_learnt(kept):
    for learnt, held_out in zip(kept.networks.learnt["reference"], kept.networks.held_out, strict=True):
        assert not set(learnt) & set(held_out)
    assert all(len(set(rows)) == 400 for rows in kept.networks.learnt["candidate"])


def test_a_saved_tier_has_them_still(kept, saved):
    again = trained(json.loads(json.dumps(saved)), keep_networks=True)
    for arm, params in kept.networks.params.items():
        for before, after in zip(params, again.networks.params[arm], strict=True):
            assert np.array_equal(before, after)


def test_nothing_is_kept_unasked_nor_in_the_result_that_a_report_holds(kept):
    saved = {}
    assert trained(saved).networks is None
    assert all("networks" not in document for document in saved.values())
    assert "networks" not in kept.to_dict()


def test_a_row_is_read_alike_in_any_company(kept):
    codes = kept.networks.candidate
    many, few = (kept.networks.last_layer("candidate", 0, rows, COLUMNS) for rows in (codes, codes[130:137]))
    assert np.array_equal(many.probabilities[:, 130:137], few.probabilities)
    assert np.array_equal(many.inputs[:, 130:137], few.inputs)


def test_a_diverged_seed_is_left_out(kept, saved):
    document = json.loads(json.dumps(saved))
    broken = [np.full_like(params, np.nan) for params in kept.networks.params["candidate"][:1]]
    document["small"]["networks"]["candidate"][0] = packed({"candidate": broken})["candidate"][0]
    again = trained(document, keep_networks=True).networks
    assert len(again) == 2
    assert np.array_equal(again.params["reference"][0], kept.networks.params["reference"][1])
    assert np.array_equal(again.held_out[0], kept.networks.held_out[1])


def test_networks_beyond_the_memory_for_them_are_of_fewer_seeds(monkeypatch):
    monkeypatch.setattr("vr.cascade.networks._MOST_BYTES", 100)
    each = [np.zeros(6, np.float32)] * 3
    assert [len(texts) for texts in packed({"reference": each, "candidate": each}).values()] == [2, 2]
    monkeypatch.setattr("vr.cascade.networks._MOST_BYTES", 10)
    assert packed({"reference": each, "candidate": each}) == {"reference": [], "candidate": []}

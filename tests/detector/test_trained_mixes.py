"""Mixes of a candidate with reference rows that boosted trees were trained on."""

import numpy as np
import pyarrow as pa
import pytest

from vr.data.source import open_source
from vr.detector import trained_mixes
from vr.detector.inputs import Inputs
from vr.detector.trained_mixes import train_mixes
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats import mix_training


def table(rows, seed, broken=False):
    """Days, a kind and a price that depends on both; the price by itself where it is broken."""
    rng = np.random.default_rng(seed)
    day = rng.integers(0, 3_000, rows)
    kind = rng.integers(0, 3, rows)
    price = day / 1_000 + kind + 0.3 * rng.standard_normal(rows)
    return pa.table(
        {
            "day": pa.array((day * 86_400).astype("datetime64[s]")),
            "kind": pa.array(np.array(["a", "b", "c"])[kind]),
            "price": rng.permutation(price) if broken else price,
        }
    )


def inputs_of(candidate, targets, reference_rows=160):
    config = Config(targets=list(targets))
    taken = take_in(open_source(candidate), open_source(table(reference_rows, 0)), config, 1, lambda *step: None)
    return Inputs.of(taken, None, "none were trained", 0, 1)


def test_what_is_lost_is_told_share_by_share():
    done = []
    found = train_mixes(inputs_of(table(160, 1, broken=True), ["price"]), [0.3, 0.8], done.append)
    assert found.shares.tolist() == [0.0, 0.3, 0.8, 1.0]
    assert found.lost[0] > 0.7
    assert (np.diff(found.lost) < 0).all()
    assert done[-1] == 2
    assert done == sorted(done)
    # At what was not broken nothing is lost that more real rows would bring back, but what the price told.
    fine = train_mixes(inputs_of(table(160, 1), ["price"]), [0.3, 0.8])
    assert np.abs(fine.lost).max() < 0.15


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the training, in its place."""
    found = {}

    def spy(real, made, is_category, targets, shares, *rest):
        found.update(real=real, made=made, is_category=is_category, targets=targets, shares=shares, most_draws=rest[-1])

    monkeypatch.setattr(trained_mixes, "train_on_mixes", spy)
    return found


def test_numbers_are_handed_over_as_they_are_and_a_date_hides_its_parts(asked):
    candidate = table(160, 1)
    inputs = inputs_of(candidate, ["day", "kind"])
    train_mixes(inputs, [0.5])
    names = [inputs.columns.names[j] for j in inputs.pair_columns]
    price, kind = names.index("price"), names.index("kind")
    assert sorted(asked["made"][:, price]) == sorted(candidate["price"].to_pylist())
    assert asked["is_category"][kind]
    assert not asked["is_category"][price]
    for target in asked["targets"]:
        hidden = {names[j] for j in target.hidden}
        if target.column == kind:
            assert hidden == {"kind"}
            assert target.num_classes == inputs.columns.num_codes[inputs.pair_columns[kind]]
        else:
            assert hidden == {name for name in names if name.startswith("day")}
            assert target.num_classes is None


def test_more_than_nine_shares_are_tenths(asked):
    inputs = inputs_of(table(160, 1), ["price"])
    train_mixes(inputs, [0.05 * k for k in range(1, 20)])
    assert asked["shares"] == pytest.approx([0.1 * k for k in range(1, 10)])
    train_mixes(inputs, [0.25, 0.5])
    assert asked["shares"] == [0.25, 0.5]
    assert asked["most_draws"] is None
    train_mixes(inputs, [0.5], most_draws=4)
    assert asked["most_draws"] == 4


def test_without_targets_or_enough_rows_nothing_is_trained(monkeypatch):
    def never(*rest):
        raise AssertionError

    monkeypatch.setattr(mix_training, "predict_number", never)
    assert train_mixes(inputs_of(table(160, 1), []), [0.5]) is None
    assert train_mixes(inputs_of(table(30, 1), ["price"]), [0.5]) is None
    assert train_mixes(inputs_of(table(160, 1), ["price"], reference_rows=30), [0.5]) is None

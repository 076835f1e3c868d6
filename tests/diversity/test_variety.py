"""Columns, joint patterns, near repeats and outliers beside what the reference gives against itself."""

import numpy as np
import pyarrow as pa
import pytest

from tests.diversity.sides import inputs, table
from vr.diversity.findings import findings
from vr.diversity.measure import measure
from vr.diversity.variety import METRICS
from vr.stats.divergences import histograms
from vr.stats.entropy import entropy_nats


@pytest.fixture(scope="module")
def reference():
    return table(2000, 0)


def told(found, rows, exact=0.0, with_reference=True):
    return {each.kind: each for each in findings(found, rows, exact, with_reference=with_reference)}


def z(feature, floor):
    return (feature.value - feature.null_mean) / np.hypot(feature.null_std, floor)


def test_fresh_rows_lie_within_the_null_and_nothing_is_found(reference):
    found = measure(inputs(table(2000, 1), reference))
    for name, spec in METRICS.items():
        feature = found.variety.features[name]
        assert abs(z(feature, spec.floor)) < 4, name
    assert all(abs(column.entropy_z) < 4 for column in found.columns)
    assert abs(z(found.outliers.share, 0.005)) < 4
    assert told(found, 2000) == {}
    mass = found.variety.missing_mass
    assert mass.value == pytest.approx(found.variety.features["pattern_missing_mass"].value)
    assert 0 <= mass.lower < mass.value < mass.upper < 0.1


def test_a_narrowed_column_comes_first_and_is_told(reference):
    fresh = table(2000, 1)
    narrowed = np.where(np.random.default_rng(0).random(2000) < 0.9, "u", fresh["kind"].to_numpy(zero_copy_only=False))
    found = measure(inputs(fresh.set_column(4, "kind", pa.array(narrowed)), reference))
    assert found.columns[0].name == "kind"
    assert found.columns[0].top == "u"
    assert found.columns[0].top_share > 0.9 > found.columns[0].reference_top_share
    assert found.columns[0].gini.value > found.columns[0].gini.null_mean
    assert "kind is as varied as" in told(found, 2000)["column_narrowed"].text


def wide(rows, seed):
    """Ten columns: of five, rows that differ in one only are common."""
    rng = np.random.default_rng([seed, 1])
    result = table(rows, seed)
    for j in range(5):
        result = result.append_column(f"n{j}", pa.array(rng.standard_normal(rows)))
    return result


def with_new_noise(rows):
    return rows.set_column(3, "noise", pa.array(np.random.default_rng(0).standard_normal(len(rows))))


def test_near_repeats_are_counted_and_listed():
    once = wide(1000, 1)
    found = measure(inputs(pa.concat_tables([once, with_new_noise(once)]), wide(2000, 0)))
    assert z(found.variety.features["near_duplicates"], 0.02) > 4
    pair = found.near_pairs[0]
    assert (pair.other_row - pair.row, pair.columns) == (1000, ["noise"])
    assert pair.row in told(found, 2000)["near_duplicates"].rows


def test_learnt_rows_are_near_copies():
    real = wide(2000, 0)
    found = measure(inputs(with_new_noise(real), real))
    assert z(found.variety.features["near_copies"], 0.02) > 4
    assert "near_copies" in told(found, 2000)


def test_variety_falls_where_rows_gather(reference):
    rows = np.random.default_rng(0).integers(0, 40, 2000)
    found = measure(inputs(table(2000, 1).take(pa.array(rows)), reference)).variety.features
    for name in ("pattern_entropy", "vendi_gaussian", "vendi_truncated", "pattern_missing_mass"):
        assert found[name].value < found[name].null_mean, name
    assert found["pattern_gini"].value > found["pattern_gini"].null_mean


def test_far_rows_are_outliers_and_named(reference):
    fresh = table(2000, 1)
    x = fresh["x"].to_numpy().copy()
    x[::20] = 60.0
    found = measure(inputs(fresh.set_column(0, "x", pa.array(x)), reference))
    assert z(found.outliers.share, 0.005) > 4
    assert {row % 20 for row in found.outliers.rows} == {0}
    assert told(found, 2000)["outliers"].rows == found.outliers.rows


def test_lost_tails_are_told(reference):
    fresh = table(6000, 1)
    inner = np.abs(fresh["noise"].to_numpy()) < 1.2
    for name, centre in (("x", 8.0), ("y", 8.0)):
        values = fresh[name].to_numpy()
        inner &= np.minimum(np.abs(values), np.abs(values - centre)) < 0.6
    found = measure(inputs(fresh.filter(pa.array(inner)), table(6000, 0)))
    assert found.outliers.share.value < 0.005
    assert "tails_lost" in told(found, 2000)


def test_alone_everything_is_measured_but_what_needs_a_reference(reference):
    taken = inputs(reference)
    found = measure(taken)
    assert found.variety.features["near_copies"].value is None
    for name in set(METRICS) - {"near_copies"}:
        assert np.isfinite(found.variety.features[name].value), name
        assert found.variety.features[name].null_mean is None
    entropies = entropy_nats(histograms(taken.candidate.codes, taken.columns.num_codes))
    assert {c.name: c.entropy.value for c in found.columns} == dict(
        zip(taken.columns.names, entropies.tolist(), strict=True)
    )
    assert told(found, 2000, exact=0.25, with_reference=False)["duplicates"].text.startswith("25.0 %")


@pytest.mark.parametrize("rows", [1, 30, 70])
def test_few_rows_are_no_error(reference, rows):
    for taken in (inputs(table(rows, 1), reference), inputs(table(rows, 1))):
        findings(measure(taken), rows, 0.0, with_reference=bool(taken.splits))


def test_measured_again_it_is_the_same(reference):
    first, second = (measure(inputs(table(900, 1), reference)) for _ in range(2))
    assert first.variety == second.variety
    assert first.columns == second.columns
    assert first.rare == second.rare


def test_a_table_of_few_values_alone_is_not_full_of_outliers():
    rng = np.random.default_rng(3)
    alone = pa.table({f"x{j}": rng.integers(0, 6, 2000) for j in range(6)})
    assert measure(inputs(alone)).outliers.share.value < 0.01

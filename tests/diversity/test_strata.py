"""Strata and the sample that is drawn by them: proportion, floors, and the same rows however the file is cut."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.diversity.sides import table
from vr.data.engine import LocalEngine
from vr.data.passes import Passes
from vr.data.source import open_source
from vr.data.strata import Strata, levels
from vr.data.work import StratifiedWork, work_of
from vr.diversity.standing import standing
from vr.diversity.strata import Fitted, Settings, fit_strata
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

ROWS = 30_000


def planted() -> pa.Table:
    """Three clusters; 60 rows of a value that nothing else has, 40 of an odd pair, and 15 far away."""
    rows = table(ROWS, 0)
    kind = rows["kind"].to_pylist()
    kind[100:160] = ["seldom"] * 60
    x, group = rows["x"].to_numpy().copy(), rows["group"].to_pylist()
    y, noise = rows["y"].to_numpy().copy(), rows["noise"].to_numpy().copy()
    group[200:240], x[200:240], y[200:240] = ["c"] * 40, 8.0, 0.0
    x[300:315], y[300:315], noise[300:315] = 40.0, 40.0, 9.0
    return pa.table({"x": x, "y": y, "group": group, "noise": noise, "kind": kind})


@cache
def taken():
    source = open_source(planted())
    return source, take_in(source, None, Config(), 1, lambda *_: None)


def fitted(intake, size: int, settings: Settings = Settings()) -> Fitted:
    return fit_strata(intake.candidate.codes, intake.columns, intake.candidate_profile.counts, size, 0, settings)


@cache
def strata_for(size: int) -> Strata:
    return fitted(taken()[1], size).strata


def work_for(size: int, seed: int = 0) -> StratifiedWork:
    source, intake = taken()
    return StratifiedWork(source.schema.names, intake.codec, strata_for(size), seed)


def drawn(size: int, seed: int = 0):
    return Passes().run(taken()[0], work_for(size, seed), 4_096, lambda done: None)


def test_the_sample_has_as_many_rows_as_asked():
    for size in (100, 500, 3_000):
        sample = drawn(size)
        assert sample.sizes.sum() == size
        # The first sample may know more of a stratum, in proportion, than there is.
        assert 0.98 * size <= len(sample) <= size
        assert sample.seen.sum() == ROWS


def test_more_rows_than_there_are_give_all_of_them_at_weight_one():
    for size in (ROWS, 3 * ROWS):
        sample = drawn(size)
        np.testing.assert_array_equal(sample.rows, np.arange(ROWS))
        assert (sample.weights == 1.0).all()


def test_what_is_rare_has_its_floor_and_outliers_are_kept():
    size = 1_500
    rows = drawn(size).rows
    # In proportion they would have 3, 2 and 0.75 rows; the floor expects 30 of the first and of the second, each row by
    # itself, so that five binomial deviations lie within it.
    for start, end, least in ((100, 160, 30 - 5 * np.sqrt(15)), (200, 240, 30 - 5 * np.sqrt(7.5)), (300, 315, 10)):
        held = ((rows >= start) & (rows < end)).sum()
        assert held >= least, (start, held)
        assert held > 2 * size * (end - start) / ROWS


def test_clusters_are_in_proportion_closer_than_chance():
    group = planted()["group"].to_numpy(zero_copy_only=False)
    share = np.mean(group == "a")
    estimates = []
    for seed in range(12):
        sample = drawn(1_000, seed)
        estimates.append(np.average(group[sample.rows] == "a", weights=sample.weights))
    assert abs(np.mean(estimates) - share) < 0.02
    # A uniform sample of 1,000 rows would have a standard error of 0.016.
    assert np.std(estimates) < 0.7 * np.sqrt(share * (1 - share) / 1_000)


def test_what_is_estimated_from_the_sample_is_unbiased():
    full = planted()
    kind, x, noise = full["kind"].to_numpy(zero_copy_only=False), full["x"].to_numpy(), full["noise"].to_numpy()
    asked = np.stack([(kind == "v") * noise, (noise > 2.5) * 1.0, np.abs(x)], axis=1)
    estimates = np.stack(
        [
            (sample.weights[:, None] * asked[sample.rows]).sum(axis=0)
            for sample in (drawn(600, seed) for seed in range(60))
        ]
    )
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert (np.abs(estimates.mean(axis=0) - asked.sum(axis=0)) < 4 * error).all()


def test_the_floor_gives_way_before_half_of_the_sample_does():
    # Every value is rare: 300 of them, in 30 rows each.
    rng = np.random.default_rng(0)
    rows = pa.table(
        {"kind": rng.permutation(np.repeat([f"k{i}" for i in range(40)], 250)), "x": rng.normal(size=10_000)}
    )
    intake = take_in(open_source(rows), None, Config(), 1, lambda *_: None)
    found = fitted(intake, 400, Settings(rare=0.1))
    assert found.floor < 30.0
    assert found.base >= 0.5 * 400 / 10_000 * (1 - 1e-6)
    assert found.strata.sizes.sum() == 400
    assert fitted(intake, 400, Settings(rare=0.0)).base > found.base


def test_any_cut_and_any_number_of_threads_give_the_same_rows(tmp_path):
    full = planted()
    work = work_for(800)
    known = Passes().run(open_source(full), work, 65_536, id)
    for i, (start, end) in enumerate([(0, 7_000), (7_000, 7_001), (7_001, 21_500), (21_500, ROWS)]):
        pq.write_table(full.slice(start, end - start), tmp_path / f"{i}.parquet", row_group_size=2_000)
    for engine, partition_rows, batch_rows in ((LocalEngine(1), 3_000, 511), (LocalEngine(3), 9_000, 10_000)):
        found = Passes(engine, partition_rows).run(open_source(tmp_path), work, batch_rows, id)
        for name in ("rows", "weights", "strata", "ranks", "seen", "least", "most", "left_out"):
            np.testing.assert_array_equal(getattr(found, name), getattr(known, name), err_msg=name)
        assert found.table.to_pylist() == known.table.to_pylist()


def test_a_partition_holds_little_more_than_its_part():
    source, _ = taken()
    work, full = work_for(900), planted()
    parts = [work.run(full.slice(start, 3_000).to_batches(), start, 1).rows for start in range(0, ROWS, 3_000)]
    assert sum(map(len, parts)) < 5 * 900
    # A bound that is too tight is noticed, and the pass made again without one.
    tight = replace(work, below=0.5)
    assert not tight.run(source.batches(), 0, 1).is_complete
    np.testing.assert_array_equal(Passes().run(source, tight, 4_096, id).rows, drawn(900).rows)


def test_work_and_sample_come_back_from_their_bytes():
    work = work_for(500)
    again = work_of(work.packed())
    assert isinstance(again, StratifiedWork)
    assert (again.digest, again.packed()) == (work.digest, work.packed())
    sample = drawn(500)
    back = again.unpack(again.pack(sample))
    np.testing.assert_array_equal(back.weights, sample.weights)
    assert back.table.equals(sample.table)
    with pytest.raises(ValueError, match="no priority"):
        again.unpack(work.packed())


def test_the_weighted_sample_stands_for_all_rows_and_the_bare_one_does_not():
    _, intake = taken()
    sample = drawn(1_500)
    codes = intake.codec.encode(sample.table).codes
    counts = intake.candidate_profile.counts
    weighted = standing(codes, sample.weights, counts)
    assert weighted.confidence == 1.0
    assert weighted.ks.max() < standing(codes, np.ones(len(codes)), counts).ks.max()


def test_probabilities_are_rounded_up_to_powers_of_a_half():
    which, rounded = levels(np.array([1.0, 0.51, 0.5, 0.3, 0.25, 1e-9, 0.0]))
    assert which.tolist() == [0, 0, 1, 1, 2, 29, 60]
    np.testing.assert_array_equal(rounded, 0.5**which)


def test_weights_add_up_to_the_rows_of_every_stratum():
    sample = drawn(1_000)
    np.testing.assert_array_equal(sample.least[sample.seen > 0], sample.most[sample.seen > 0])
    np.testing.assert_allclose(np.bincount(sample.strata, sample.weights, len(sample.sizes)), sample.seen)
    # And a row stands for about one over what it is wanted with.
    np.testing.assert_allclose(np.median(sample.weights * sample.wanted), 1.0, atol=0.2)


def test_few_rows_and_constant_columns_make_one_stratum():
    rows = pa.table({"a": [1.0] * 30, "b": ["x"] * 30})
    source = open_source(rows)
    intake = take_in(source, None, Config(), 1, lambda *_: None)
    found = fitted(intake, 10)
    assert found.strata.num_clusters == 1
    sample = Passes().run(source, StratifiedWork(["a", "b"], intake.codec, found.strata, 0), 7, id)
    # Two strata that nothing is known to be in have room for a row each.
    assert len(sample) == found.strata.sizes[0] == 8


@pytest.mark.parametrize("size", [100, 400])
def test_every_stratum_has_room_where_the_first_sample_is_one_row_in_a_hundred(size):
    """As it is of a long file: it has no row of the rare value, whose count is known all the same."""
    source, intake = taken()
    numbers, column = intake.candidate.codes, list(intake.columns.names).index("kind")
    seldom = numbers[100, column]
    first = numbers[np.flatnonzero(numbers[:, column] != seldom)[::100]]
    rule = fit_strata(first, intake.columns, intake.candidate_profile.counts, size, 0).strata
    assert rule.sizes.min() >= 1
    work = StratifiedWork(source.schema.names, intake.codec, rule, 0)
    sample = Passes().run(source, work, 4_096, lambda done: None)
    np.testing.assert_allclose(np.bincount(sample.strata, sample.weights, len(sample.sizes)), sample.seen)
    assert sample.weights.sum() == pytest.approx(ROWS)
    assert np.isin(sample.rows, np.arange(100, 160)).any()

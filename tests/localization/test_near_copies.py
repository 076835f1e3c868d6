import numpy as np
import pyarrow as pa

from vr.data.source import open_source
from vr.localization.near_copies import NearCopies
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def frame(rows, seed):
    rng = np.random.default_rng(seed)
    return {"a": rng.lognormal(0, 2, rows), "b": rng.standard_normal(rows), "g": rng.choice(["x", "y"], rows)}


def read(columns):
    sides = open_source(pa.table(columns)), open_source(pa.table(frame(1_500, 0)))
    intake = take_in(*sides, Config(), 1, lambda *_: None)
    near = NearCopies.fit(intake.candidate, intake.reference, intake.columns, 2_000)
    return near, near.read(intake.candidate)


def test_a_jittered_copy_is_nearer_than_real_rows_are_and_its_original_is_not():
    columns = frame(1_000, 1)
    for name in ("a", "b", "g"):
        columns[name][900:] = columns[name][:100]
    columns["b"][900:] += 0.002 * np.random.default_rng(2).standard_normal(100)
    near, found = read(columns)
    assert np.median(found[900:]) > np.quantile(near.null, 0.99)
    assert np.median(found[:100]) < np.quantile(near.null, 0.9)


def test_an_exact_copy_is_not_a_near_one():
    columns = frame(1_000, 1)
    for name in ("a", "b", "g"):
        columns[name][900:] = columns[name][:100]
    near, found = read(columns)
    assert np.mean(found[900:] > np.quantile(near.null, 0.99)) < 0.1


def test_fresh_rows_read_as_the_null_does():
    near, found = read(frame(750, 1))
    assert near.crowding == 1.0
    assert abs(np.mean(found > np.quantile(near.null, 0.9)) - 0.1) < 0.05


def test_of_a_thinned_file_the_copies_of_few_rows_are_still_seen():
    rng = np.random.default_rng(3)
    columns = frame(4_000, 1)
    from_few = rng.integers(0, 20, 2_000)
    for name in ("a", "b", "g"):
        columns[name][2_000:] = columns[name][from_few]
    columns["b"][2_000:] += 0.002 * rng.standard_normal(2_000)
    sides = open_source(pa.table(columns)), open_source(pa.table(frame(1_500, 0)))
    intake = take_in(*sides, Config(), 1, lambda *_: None)
    near = NearCopies.fit(intake.candidate, intake.reference, intake.columns, 2_000)
    thin = near.thinned(400)
    assert len(thin.earlier) == len(thin.rows) == 400
    assert thin.crowding == max(1.0, near.crowding / 10)
    last = intake.candidate.take(np.arange(3_500, 4_000))
    assert np.median(thin.read(last)) > np.quantile(near.null, 0.99)
    assert near.thinned(4_000) is near

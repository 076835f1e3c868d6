"""Evidence is the same whether a row is read with the sample or in the stream, and whatever its batch."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vr.data.codec import Coded
from vr.data.source import open_source
from vr.localization.head import load_head
from vr.localization.row_evidence import EVIDENCE, RowEvidence
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    return pa.table({"x": x, "y": x + rng.standard_normal(rows), "g": rng.choice(["a", "b", "c"], rows)})


@pytest.fixture(scope="module")
def intake():
    frame = table(800, 1).to_pandas()
    frame.loc[300:359, "y"] += 4.0
    return take_in(open_source(pa.Table.from_pandas(frame)), open_source(table(900, 0)), Config(), 1, lambda *_: None)


def fitted(intake, **changes):
    settings = {"num_rows": 800, "reference_rows": 450, "max_distance_rows": 50_000, "seed": 0} | changes
    return RowEvidence.fit(
        intake.candidate, intake.reference, columns=intake.columns, embedding=intake.embedding, **settings
    )


def test_the_sample_reads_as_the_stream_does_in_any_batch_to_the_last_bit(intake):
    rows, side = fitted(intake), intake.candidate
    coded = Coded(side.codes, side.values)
    # Of the sample what was read before is given again; without it every row is read anew.
    afresh = replace(rows, sample=None)
    every = np.arange(800)
    for batches in ([every], np.array_split(every, 7), np.array_split(every, 160)):
        for reader in (rows, afresh):
            parts = [reader.read(coded.take(batch), side.rows[batch]) for batch in batches]
            assert np.array_equal(np.concatenate([part.tails for part in parts]), rows.sample.tails)
            assert np.array_equal(np.concatenate([part.which_pair for part in parts]), rows.sample.which_pair)
        odds = [load_head().log_odds(part.tails) for part in parts]
        assert np.array_equal(np.concatenate(odds), load_head().log_odds(rows.sample.tails))


def test_rows_beside_the_sample_keep_their_places(intake):
    rows, side = fitted(intake), intake.candidate
    part = np.arange(1, 800, 3)
    few = replace(rows, rows=rows.rows[part], sample=rows.sample.take(part), scanned=rows.scanned[part])
    found = few.read(Coded(side.codes, side.values), side.rows)
    others = [i for i, name in enumerate(EVIDENCE) if name not in ("stretch", "shifted")]
    assert np.array_equal(found.tails[:, others], rows.sample.tails[:, others])
    assert np.array_equal(found.outside, rows.sample.outside)


def test_in_a_long_file_only_the_unlikeliest_rows_are_read_closer(intake):
    rows = fitted(intake, num_rows=8_000, max_distance_rows=1_000)
    closer = rows.sample.tails[:, EVIDENCE.index("distance")] > 0.0
    assert 0.08 < closer.mean() < 0.2
    assert closer[300:360].mean() > 0.5


def test_a_long_files_sample_reads_as_its_stream_does(intake):
    # Rows that are read no closer, too, and near copies of those alone that are.
    rows, side = fitted(intake, num_rows=2_000, max_distance_rows=500), intake.candidate
    afresh = replace(rows, sample=None)
    assert np.array_equal(afresh.read(Coded(side.codes, side.values), side.rows).tails, rows.sample.tails)
    assert (rows.sample.tails[:, EVIDENCE.index("near")] > 0.0).any()
    assert not rows.sample.tails[:, EVIDENCE.index("distance")].all()


def test_a_stretch_is_found_with_its_column(intake):
    (stretch, *_) = fitted(intake).stretches
    assert abs(stretch.start - 300) < 6
    assert abs(stretch.end - 360) < 6
    assert intake.columns.names[stretch.columns[0]] == "y"


def test_nulls_are_even(intake):
    null = 10.0 ** -fitted(intake).null
    for name in ("ratio", "dependence", "distance", "surprise", "near"):
        assert abs(np.median(null[:, EVIDENCE.index(name)]) - 0.5) < 0.12
    # Of stretches it is the file that is even: its best one is as surprising as one in ten in one file of ten.
    for name in ("stretch", "shifted"):
        assert np.mean(null[:, EVIDENCE.index(name)] < 0.1) < 0.1


def test_earlier_rows_are_thinned_only_of_a_file_far_longer_than_its_sample(intake, monkeypatch):
    monkeypatch.setattr("vr.localization.row_evidence._EARLIER_ROWS", 100)
    rows = len(intake.candidate)
    assert len(fitted(intake, num_rows=2 * rows).near.earlier) == rows
    assert len(fitted(intake, num_rows=11 * rows).near.earlier) == 100

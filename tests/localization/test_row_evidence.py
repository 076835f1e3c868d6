"""Evidence is the same whether a row is read with the sample or in the stream, and whatever its batch."""

import numpy as np
import pyarrow as pa
import pytest

from vr.data.codec import Coded
from vr.data.source import open_source
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


def test_the_sample_reads_as_the_stream_does_in_any_batch(intake):
    rows = fitted(intake)
    side = intake.candidate
    coded = Coded(side.codes, side.values)
    whole = rows.read(coded, side.rows)
    assert np.allclose(whole.tails, rows.sample.tails)
    parts = [rows.read(coded.take(part), side.rows[part]) for part in np.array_split(np.arange(800), 7)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.join(part)
    assert np.allclose(joined.tails, whole.tails)
    assert np.array_equal(joined.which_pair, whole.which_pair)


def test_in_a_long_file_only_the_unlikeliest_rows_are_read_closer(intake):
    rows = fitted(intake, num_rows=8_000, max_distance_rows=1_000)
    closer = rows.sample.tails[:, EVIDENCE.index("distance")] > 0.0
    assert 0.08 < closer.mean() < 0.2
    assert closer[300:360].mean() > 0.5


def test_a_stretch_is_found_with_its_column(intake):
    (stretch, *_) = fitted(intake).stretches
    assert abs(stretch.start - 300) < 6
    assert abs(stretch.end - 360) < 6
    assert intake.columns.names[stretch.columns[0]] == "y"


def test_nulls_are_even(intake):
    null = 10.0 ** -fitted(intake).null
    for name in ("ratio", "dependence", "distance", "surprise", "near", "stretch", "shifted"):
        assert abs(np.median(null[:, EVIDENCE.index(name)]) - 0.5) < 0.12

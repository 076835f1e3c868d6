"""What a flagged row's sentence says, and that it says no more than is known."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vr.cascade.config import preset
from vr.data.codec import fit_codec
from vr.data.config import CodecConfig
from vr.data.schema import infer_columns
from vr.data.source import open_source
from vr.detector.inputs import Columns
from vr.localization.reasons import reason
from vr.pipeline.config import Config
from vr.pipeline.validate import validate

START = datetime.datetime(2024, 1, 1)


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    days = [START.date() + datetime.timedelta(days=int(d)) for d in rng.integers(0, 200, rows)]
    # The amount depends on the weekday.
    y = np.array([day.weekday() for day in days]) + 0.1 * rng.standard_normal(rows)
    return pa.table({"x": x, "day": days, "y": y, "g": rng.choice(["a", "b"], rows)})


def one_row(source, row=0, columns=None, **options):
    codec = fit_codec(infer_columns(source, {}, CodecConfig()), source, CodecConfig(), 0)
    coded, names = codec.encode(source), Columns.of(codec)
    positions = [names.names.index(name) for name in columns or ["x"]]
    return reason(np.array([4.0, 0.0, 0.0, 0.0]), positions, coded.codes[row], coded.values[row], names, **options)[1]


@pytest.mark.parametrize(
    ("num_held_out", "said"),
    [
        (2_500, "(fewer than 1 in 2,500 real rows)"),
        (4_999, "(fewer than 1 in 4,900 real rows)"),
        (10**5, "(1 in 10,000"),
    ],
)
def test_odds_are_no_rarer_than_the_rows_at_hand_can_show(num_held_out, said):
    assert said in one_row(table(200, 0), num_held_out=num_held_out)


def test_no_odds_without_the_number_of_rows():
    assert "real rows" not in one_row(table(200, 0))


def test_dates_are_spelt_as_dates_with_their_parts():
    source = table(200, 0)
    day = source["day"][0].as_py()
    said = one_row(source, columns=["day", "y", "g"])
    part = said.partition("day = ")[2]
    low, high = (datetime.date.fromisoformat(text) for text in (part[:10], part[14:24]))
    assert low <= day <= high
    assert f"(weekday {day:%a}, month {day:%b})" in part
    assert f"y = {source['y'][0].as_py():.6g}, g = {source['g'][0].as_py()}" in part


def test_blamed_columns_are_those_of_the_file_each_once():
    candidate = table(1_500, 1).to_pandas()
    # Days that real rows never join with such amounts.
    broken = np.arange(0, 1_500, 4)
    candidate.loc[broken, "y"] = (candidate.loc[broken, "y"] + 3.0) % 7.0
    sources = open_source(pa.Table.from_pandas(candidate)), open_source(table(2_000, 0))
    rows = validate(*sources, Config(cascade=preset("none")), html=False).localization.rows
    assert rows
    assert {name for row in rows for name in row.columns} <= {"x", "day", "y", "g"}
    assert all(len(row.columns) == len(set(row.columns)) for row in rows)
    assert any("day" in row.columns and "weekday" in row.reason for row in rows[:50])
    assert not any("e+09" in row.reason for row in rows)

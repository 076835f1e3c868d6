"""A whole report, walked: no number is missing without a reason, and none is made up."""

import datetime
import json
import re

import numpy as np
import pyarrow as pa
import pytest

from vr.cascade.config import preset
from vr.data.config import DataConfig
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.describe import profile
from vr.pipeline.page.nulls import mark
from vr.pipeline.report import OwnMetric, ValidationReport
from vr.pipeline.validate import validate

# Nulls without a reason of their own, as paths with * for any key or position, and why.
EXCEPTIONS = {
    "collapse_type": "a word, null where no collapse was found or no dimension that names one fails",
    "risk_level": "a word; verdict_reason says why there is no risk",
    "risk_score": "verdict_reason, beside it, says why",
    "reference": "a section, null where no reference was given",
    "signatures.collapse_type": "a word, null where the known dataset is healthy, or no dimension names a kind",
    "recommendations.price": "null where nothing is bought: the reference that the action asks for has no price here",
    "recommendations.on_front": "null where the risk after it is, whose reason stands at expected_risk_score",
    "reason": "a sentence",
    "note": "a sentence",
    "run.configuration": "settings as the user gave them, null where unset",
}


def unexplained(value, path=()):
    """Yields the paths of nulls whose object has no reason."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*path, key)
            if item is None:
                if not value.get("reason") and key not in ("reason", "note"):
                    yield ".".join(map(str, here))
            else:
                yield from unexplained(item, here)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from [".".join(map(str, (*path, i)))] if item is None else unexplained(item, (*path, i))


def left(document):
    found = [re.sub(r"\.\d+", "", path) for path in unexplained(document)]
    return [path for path in found if path not in EXCEPTIONS and not path.startswith("run.configuration.")]


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    day = [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(d)) for d in rng.integers(0, 400, rows)]
    return pa.table(
        {
            "id": np.arange(rows),
            "x": pa.array(x, mask=rng.random(rows) < 0.1),
            "y": x + rng.standard_normal(rows),
            "g": rng.choice(["a", "b", "c"], rows),
            "day": day,
            "void": pa.nulls(rows),
            "same": np.ones(rows),
            "skipped": rng.standard_normal(rows),
        }
    )


def config():
    return Config(cascade=preset("none"), data=DataConfig(types={"skipped": "ignore"}))


@pytest.fixture(scope="module")
def report():
    return validate(open_source(table(600, 1)), open_source(table(900, 0)), config(), html=False)


@pytest.mark.parametrize("rows", [600, 1, 30])
def test_every_missing_number_has_a_reason_beside_it(report, rows):
    if rows != 600:
        report = validate(open_source(table(rows, 1)), open_source(table(900, 0)), config(), html=False)
    assert left(report.to_dict()) == []


def test_without_a_reference_too():
    assert left(validate(open_source(table(300, 1)), None, config(), html=False).to_dict()) == []
    assert left(profile(open_source(table(300, 1)), config())) == []


def test_the_walk_finds_what_has_no_reason():
    document = {"a": {"value": None}, "b": {"value": None, "reason": "why"}, "c": [{"d": None}, None]}
    assert left(document) == ["a.value", "c.d", "c"]


def test_nulls_are_counted_or_missing_but_never_made_up(report):
    for section, source in ((report.dataset, table(600, 1)), (report.reference, table(900, 0))):
        columns = {column.name: column for column in section.columns}
        assert list(columns) == source.column_names
        for name, column in columns.items():
            counted = name not in ("id", "skipped")
            assert column.nulls == (source[name].null_count if counted else None)
        assert columns["skipped"].kind == "ignored"
        assert "ignore" in columns["skipped"].reason
        assert "identifier" in columns["id"].reason


@pytest.mark.parametrize("opened_without", ["neither", "both"])
def test_ignored_columns_are_listed_where_the_file_has_them(opened_without):
    types = {"z": "ignore", "w": "ignore"}
    settings = Config(cascade=preset("none"), data=DataConfig(types=types))
    candidate, reference = (
        pa.table({"x": np.random.default_rng(seed).standard_normal(99), "z": np.arange(99)}) for seed in range(2)
    )
    candidate = candidate.append_column("w", candidate["z"])
    first = open_source(candidate, types=types if opened_without != "neither" else {})
    second = open_source(reference, types={"z": "ignore"} if opened_without == "both" else {})
    report = validate(first, second, settings, html=False)
    assert [column.name for column in report.dataset.columns] == ["x", "z", "w"]
    assert {"x", "z"} <= {column.name for column in report.reference.columns}


def test_a_null_mean_of_diversity_is_a_null(report):
    metrics = report.diversity.metrics
    assert set(metrics) >= {
        *("entropy", "effective_rank", "vendi_score", "coverage_deficit", "missing_mass"),
        *("clusters", "rare_patterns_lost", "outliers", "duplicate_fraction"),
    }
    for name in ("entropy", "effective_rank", "vendi_score"):
        metric = metrics[name]
        assert metric.null_std > 0
        assert abs(mark(metric).z) < 3
        assert metric.reference == metric.null_mean
        # Two real samples of equal size.
        assert metric.value == pytest.approx(metric.null_mean, rel=0.05)
    assert 1 < metrics["effective_rank"].value <= len(report.dataset.columns) + 2
    for name in ("missing_mass", "duplicate_fraction"):
        assert isinstance(metrics[name], OwnMetric)
        assert metrics[name].reference is not None
        assert metrics[name].null_mean is None
        assert "no null" in metrics[name].reason


def test_duplicates_of_both_files_stand_side_by_side():
    half = table(300, 1)
    report = validate(open_source(pa.concat_tables([half, half])), open_source(table(900, 0)), config(), html=False)
    duplicates = report.diversity.metrics["duplicate_fraction"]
    assert (duplicates.value, duplicates.reference) == (0.5, 0.0)


def test_a_report_survives_being_stored(report):
    stored = ValidationReport.model_validate(json.loads(report.to_json()))
    assert stored == report
    assert stored.to_dict() == report.to_dict()

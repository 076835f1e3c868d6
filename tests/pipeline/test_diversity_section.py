"""The section on diversity in a whole report: every part is there, with a reference and without."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tests.diversity.sides import table
from tests.diversity.test_texts import texts
from tests.pipeline.test_assemble import left
from vr.cascade.config import preset
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.describe import profile
from vr.pipeline.report import DiversitySection, OwnMetric
from vr.pipeline.validate import validate
from vr.telemetry.summary import profile_lines


def with_words(rows, seed, repeat=1):
    """Clusters, texts of which each occurs `repeat` times, and an identifier that occurs as often."""
    once = texts(rows // repeat, seed)
    names = [f"case-{seed}-{i}" for i in range(rows // repeat)]
    return (
        table(rows, seed)
        .append_column("note", pa.array((once * repeat)[:rows]))
        .append_column("case", pa.array((names * repeat)[:rows]))
    )


@pytest.fixture(scope="module")
def section():
    candidate = with_words(900, 1, repeat=3)
    kept = np.array(candidate["group"].to_pylist()) != "c"
    report = validate(
        open_source(candidate.filter(pa.array(kept))),
        open_source(with_words(900, 0)),
        Config(cascade=preset("none")),
        html=False,
    )
    assert left(report.to_dict()) == []
    return report.diversity


def test_what_is_wrong_is_found_and_said_with_rows(section):
    found = {each.kind: each for each in section.findings}
    assert {"cluster_lost", "pattern_lost", "text_repeats", "entity_repeats"} <= set(found)
    assert "group is c" in found["pattern_lost"].text
    assert found["pattern_lost"].reference_rows
    assert all(each.advice for each in section.findings)
    assert found["entity_repeats"].rows


def test_numbers_stand_beside_those_of_the_reference(section):
    metrics = section.metrics
    assert isinstance(metrics["pattern_entropy"], OwnMetric)
    assert metrics["pattern_entropy"].reference == metrics["pattern_entropy"].null_mean
    assert metrics["clusters"].value < metrics["clusters"].reference
    assert metrics["outliers"].null_mean == pytest.approx(0.01, abs=0.003)
    assert metrics["text_near_repeats.note"].value > 0.3 > metrics["text_near_repeats.note"].null_mean
    assert 0.2 < metrics["entity_repeats.case"].value < 0.67
    assert {"missing_mass", "pattern_missing_mass"} == set(section.intervals)
    for name, interval in section.intervals.items():
        assert interval.lower <= interval.value <= interval.upper
        assert interval.value == pytest.approx(metrics[name].value)
    assert [c.name for c in section.columns if c.top_share > 0]
    assert sum(c.reference_share for c in section.clusters) <= 1.0


def test_a_profile_alone_has_it_too(tmp_path):
    dataset = with_words(900, 1)
    # Three in a hundred: of more, it would not be taken for an identifier.
    cases = dataset["case"].to_pylist()[:873]
    dataset = dataset.set_column(dataset.column_names.index("case"), "case", pa.array(cases + cases[:27]))
    document = profile(open_source(dataset), Config(), output=tmp_path)
    section = DiversitySection.model_validate(document["diversity"])
    assert json.loads((tmp_path / "profile.json").read_text()) == document
    assert left(document) == []
    assert len(section.clusters) >= 3
    assert all(c.reference_share is None for c in section.clusters)
    assert {"entity_repeats"} <= {each.kind for each in section.findings}
    lines = "\n".join(profile_lines(document))
    assert "group is a" in lines
    assert "found: 3.0 % of the rows have a value in case that an earlier row has" in lines

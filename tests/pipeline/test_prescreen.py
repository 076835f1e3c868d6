"""The pre-screen within a run: before the cascade, from the same measurements, and obeyed where that was asked for."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.signatures.examples import signatures
from vr.cascade.config import preset
from vr.core.errors import ConfigError
from vr.data.source import open_source
from vr.detector.calibration import variables
from vr.pipeline.config import Config
from vr.pipeline.prescreen import BeforeTraining
from vr.pipeline.report import PreScreenSection, Status, ValidationReport
from vr.pipeline.validate import validate
from vr.signatures.components import NAMES
from vr.signatures.config import SignaturesConfig
from vr.signatures.database import Database
from vr.signatures.document import load_shipped
from vr.signatures.fingerprint import SPECS
from vr.signatures.prescreen import load_prescreen
from vr.signatures.signature import Signature


def table(rows, seed, broken=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    y = x + 0.5 * rng.standard_normal(rows)
    if broken:
        x, y = np.clip(rng.permutation(x), -0.5, 0.5), np.clip(y, -0.4, 0.4)
    return pa.table({"x": x, "y": y, "g": np.array(["a", "b", "c"])[np.searchsorted([-1.0, 1.0], y + x)]})


REFERENCE = table(900, 0)


def run(candidate, reference=REFERENCE, events=None, **settings):
    config = Config(cascade=preset(settings.pop("cascade", "none")), signatures=SignaturesConfig(**settings))
    return validate(
        open_source(candidate),
        None if reference is None else open_source(reference),
        config,
        progress=None if events is None else events.append,
        html=False,
    )


@pytest.fixture(scope="module")
def broken():
    events: list = []
    return run(table(700, 1, broken=True), events=events, cascade="smoke", stop=True), events


def test_a_broken_candidate_is_stopped_before_training_with_the_statistics_verdict(broken):
    report, _ = broken
    assert report.prescreen.answer == "stop"
    assert report.prescreen.stopped
    assert report.prescreen.collapse_probability.value >= report.prescreen.stop_from
    assert report.cascade.status is Status.not_measured
    assert "pre-screen says stop" in report.cascade.reason
    assert report.calibration.situation == "untrained"
    assert report.verdict == "reject"


def test_it_is_told_of_in_one_line_before_anything_is_trained(broken):
    _, events = broken
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages.index("profile") < stages.index("prescreen") < stages.index("statistics")
    (event,) = [event for event in events if event.stage == "prescreen"]
    assert event.message.startswith("stop before training: collapse probability")
    assert "\n" not in event.message


def test_the_fingerprint_is_what_the_report_says_of_the_same_metrics(broken):
    report, _ = broken
    # The tails of a capped column may be too few to count.
    assert set(NAMES) - set(report.prescreen.fingerprint) <= {"distribution_fidelity.tail_deficit"}
    for name in ("entropy_stability.coverage_deficit", "correlation_preservation.predictability"):
        dimension, metric = name.split(".")
        found = report.dimensions[dimension].metrics[metric]
        z = variables({name: found}, SPECS)[name]
        assert report.prescreen.fingerprint[name] == pytest.approx(z, abs=1e-3)


def test_known_signatures_come_best_first_with_their_outcomes(broken):
    report, _ = broken
    similarities = [match.similarity for match in report.signatures]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 5
    assert report.signatures[0].historical_outcome.label == "collapsed"
    again = ValidationReport.model_validate_json(report.to_json())
    assert again.signatures == report.signatures
    assert again.prescreen == report.prescreen


def test_a_fresh_sample_may_proceed_and_is_not_stopped():
    report = run(table(700, 2), stop=True)
    assert report.prescreen.answer == "proceed"
    assert not report.prescreen.stopped
    assert report.prescreen.collapse_probability.value < 0.2
    assert report.signatures[0].historical_outcome.label == "healthy"
    assert report.verdict == "approve"


def test_without_a_reference_nothing_is_known_and_the_reason_is_said():
    report = run(table(300, 3), reference=None)
    assert report.prescreen.status is Status.not_measured
    assert "needs a reference" in report.prescreen.reason
    assert report.signatures == []


def test_a_library_of_ones_own_is_matched_and_decides_the_run(tmp_path, broken):
    report, _ = broken
    own = signatures(1)[0]
    mine = Signature(tuple(report.prescreen.fingerprint.get(name) for name in NAMES), own.origin, own.outcome)
    path = tmp_path / "own.db"
    with Database(str(path)) as database:
        database.add([mine])
    pq.write_table(table(700, 1, broken=True), tmp_path / "c.parquet")
    pq.write_table(REFERENCE, tmp_path / "r.parquet")
    sources = [open_source(str(tmp_path / name)) for name in ("c.parquet", "r.parquet")]
    config = Config(cascade=preset("none"), signatures=SignaturesConfig(library=str(path)))
    found = validate(*sources, config, output=tmp_path / "out", html=False)
    assert found.signatures[0].signature_id == mine.id
    assert found.signatures[0].similarity == 1.0
    shipped = len(load_shipped().signatures)
    assert (found.prescreen.library["generation"], found.prescreen.library["signatures"]) == (1, shipped + 1)
    # Another state of the library is another question.
    with Database(str(path)) as database:
        database.add(signatures(2, seed=1))
    with pytest.raises(ConfigError, match="holds a run of other inputs"):
        validate(*sources, config, output=tmp_path / "out", html=False)


def test_what_is_far_from_everything_is_outside_the_library(broken):
    report, _ = broken
    strange = {name: (-1.0) ** i * 1e4 for i, name in enumerate(NAMES)}
    fitted = load_prescreen()
    from vr.detector.metric import Feature
    from vr.signatures.library import open_library

    features = {
        name: Feature(value if SPECS[name].higher_is_worse else -value, 0.0, 0.0, 1.0)
        for name, value in strange.items()
    }
    screened = fitted.screen(features, open_library(SignaturesConfig()), 3)
    assert screened.outside
    section = report.prescreen.model_copy(update={"outside_library": True})
    assert BeforeTraining(section, report.signatures).message.endswith("outside the library: nothing known is near")


def test_a_report_of_an_earlier_schema_is_still_read(broken):
    document = json.loads(broken[0].to_json())
    del document["prescreen"]
    document["signatures"] = []
    document["schema_version"] = "1.3.0"
    assert ValidationReport.model_validate(document).prescreen is None


def test_more_of_any_component_never_lowers_the_probability():
    from vr.detector.metric import Feature
    from vr.signatures.library import Library

    fitted = load_prescreen()
    rng = np.random.default_rng(0)
    for _ in range(20):
        z = rng.exponential(4.0, len(NAMES))
        more = z.copy()
        more[int(rng.integers(len(NAMES)))] += 5.0
        low, high = (
            fitted.screen(
                {
                    name: Feature(float(v if SPECS[name].higher_is_worse else -v), 0.0, 0.0, 1.0)
                    for name, v in zip(NAMES, values, strict=True)
                },
                Library(()),
                1,
            ).probability
            for values in (z, more)
        )
        assert high >= low


def test_the_error_card_keeps_what_was_promised():
    card = load_prescreen().card
    assert card["clear"]["auroc"][0] >= 0.93
    assert card["protocol"] == "leave-dataset-and-source-out"
    assert "neither a case's dataset nor its generator" in load_prescreen().line


def test_where_nothing_was_measured_nothing_is_alike():
    from vr.detector.metric import Feature
    from vr.signatures.library import open_library

    missing = {name: Feature.missing("not measured") for name in NAMES}
    screened = load_prescreen().screen(missing, open_library(SignaturesConfig()), 3)
    assert (screened.probability, screened.matches, screened.outside) == (None, (), None)


def test_a_section_without_a_measurement_says_so():
    section = PreScreenSection(status=Status.not_measured, reason="too few rows")
    assert BeforeTraining(section, []).message == "not measured: too few rows"
    assert BeforeTraining(section, []).values == {}

"""Candidates judged one after the other against a reference that is measured once: the same reports, for less."""

import numpy as np
import pyarrow as pa
import pytest

import vr
from vr.cascade.config import preset
from vr.pipeline.config import Config
from vr.pipeline.references import References
from vr.session import run
from vr.stats import skill


def table(rows, seed, slope=1.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    return pa.table(
        {
            "x": x,
            "y": slope * x + 0.5 * rng.standard_normal(rows),
            "z": rng.standard_normal(rows),
            "group": rng.choice(["a", "b", "c"], rows),
        }
    )


REFERENCE = table(600, 0)
CANDIDATES = {"fresh": table(600, 1), "broken": table(600, 2, slope=0.0), "short": table(250, 3)}


def report(candidate, reference=REFERENCE, nulls_of=None, seed=0):
    config = Config(cascade=preset("none"), seed=seed)
    told = run(candidate, reference, config, nulls_of=nulls_of).model_dump(mode="json")
    return {name: value for name, value in told.items() if name != "run"}


@pytest.fixture(scope="module")
def alone():
    return {name: report(candidate) for name, candidate in CANDIDATES.items()}


def test_reports_are_those_of_runs_that_know_nothing(alone):
    references = References()
    for name in ("broken", "fresh", "short", "broken"):
        assert report(CANDIDATES[name], nulls_of=references.of) == alone[name], name
    assert len(references) == 1


def test_a_known_reference_is_not_measured_again(monkeypatch):
    references, prepared = References(), []
    monkeypatch.setattr(skill, "_predictable", lambda *args, own=skill._predictable: prepared.append(1) or own(*args))
    for name in ("fresh", "broken"):
        report(CANDIDATES[name], nulls_of=references.of)
    assert len(prepared) == 1


def test_other_rows_other_codes_another_seed_and_another_scope_share_nothing(alone):
    references = References(most=9)
    report(CANDIDATES["broken"], nulls_of=references.of)
    other = table(600, 9)
    assert report(CANDIDATES["fresh"], other, nulls_of=references.of) == report(CANDIDATES["fresh"], other)
    fewer = CANDIDATES["fresh"].drop_columns(["z"])
    assert report(fewer, nulls_of=references.of) == report(fewer)
    assert report(CANDIDATES["fresh"], nulls_of=references.of, seed=1) == report(CANDIDATES["fresh"], seed=1)
    assert len(references) == 4
    scoped = {}

    def of(intake, seed):
        scoped["nulls"] = references.of(intake, seed, "another")
        return dict(scoped["nulls"])

    assert report(CANDIDATES["fresh"], nulls_of=of) == alone["fresh"]
    assert scoped["nulls"] == {}


def test_the_least_recently_used_goes(alone):
    references, seen = References(most=2), []

    def of(intake, seed):
        nulls = references.of(intake, seed)
        seen.append(bool(nulls))
        return nulls

    for reference in (REFERENCE, table(600, 7), REFERENCE, table(600, 8), REFERENCE, table(600, 7)):
        report(CANDIDATES["short"], reference, nulls_of=of)
    assert seen == [False, False, True, False, True, False]
    assert report(CANDIDATES["short"], None, nulls_of=of)["verdict"]
    assert seen[-1] is False


def test_from_python_one_object_is_shared_by_many_calls(alone):
    references = vr.References()
    for name in ("fresh", "broken"):
        told = vr.validate(CANDIDATES[name], REFERENCE, overrides=["cascade=none"], references=references)
        found = told.model_dump(mode="json")
        assert {key: value for key, value in found.items() if key != "run"} == alone[name]
    assert len(references) == 1

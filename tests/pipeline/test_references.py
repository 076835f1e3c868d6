"""Candidates judged one after the other against a reference that is measured once: the same reports, for less."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vr
from vr.cascade.config import preset
from vr.detector.config import DetectorConfig, NullConfig
from vr.pipeline.config import Config, SampleConfig
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


def report(candidate, reference=REFERENCE, references=None, seed=0, splits=8):
    config = Config(cascade=preset("none"), seed=seed, detector=DetectorConfig(null=NullConfig(num_splits=splits)))
    told = run(candidate, reference, config, references=references).model_dump(mode="json")
    return {name: value for name, value in told.items() if name != "run"}


@pytest.fixture(scope="module")
def alone():
    return {name: report(candidate) for name, candidate in CANDIDATES.items()}


def test_reports_are_those_of_runs_that_know_nothing(alone):
    references = References()
    for name in ("broken", "fresh", "short", "broken"):
        assert report(CANDIDATES[name], references=references) == alone[name], name
    assert len(references) == 1


def test_more_splits_of_a_known_reference_have_nulls_of_their_own(alone):
    references = References()
    assert report(CANDIDATES["fresh"], references=references) == alone["fresh"]
    more = report(CANDIDATES["fresh"], references=references, splits=12)
    assert more == report(CANDIDATES["fresh"], splits=12)
    assert report(CANDIDATES["fresh"], references=references) == alone["fresh"]


def test_a_known_reference_is_not_measured_again(monkeypatch):
    references, prepared = References(), []
    monkeypatch.setattr(skill, "_predictable", lambda *args, own=skill._predictable: prepared.append(1) or own(*args))
    for name in ("fresh", "broken"):
        report(CANDIDATES[name], references=references)
    assert len(prepared) == 1


def test_other_rows_other_codes_another_seed_and_another_scope_share_nothing(alone):
    references = References(most=9)
    report(CANDIDATES["broken"], references=references)
    other = table(600, 9)
    assert report(CANDIDATES["fresh"], other, references=references) == report(CANDIDATES["fresh"], other)
    fewer = CANDIDATES["fresh"].drop_columns(["z"])
    assert report(fewer, references=references) == report(fewer)
    assert report(CANDIDATES["fresh"], references=references, seed=1) == report(CANDIDATES["fresh"], seed=1)
    assert len(references) == 4
    before = len(references)
    assert report(CANDIDATES["fresh"], references=references.scoped("another")) == alone["fresh"]
    assert len(references) == before + 1


def test_the_least_recently_used_goes(alone):
    seen = []

    class Watched(References):
        def of(self, intake, seed):
            nulls = super().of(intake, seed)
            seen.append(bool(nulls))
            return nulls

    references = Watched(most=2)

    for reference in (REFERENCE, table(600, 7), REFERENCE, table(600, 8), REFERENCE, table(600, 7)):
        report(CANDIDATES["short"], reference, references=references)
    assert seen == [False, False, True, False, True, False]
    assert report(CANDIDATES["short"], None, references=references)["verdict"]
    assert seen[-1] is False


def files(folder, rows=600):
    paths = [str(folder / name) for name in ("candidate.parquet", "reference.parquet")]
    for path, each in zip(paths, (CANDIDATES["fresh"], table(rows, 0)), strict=True):
        pq.write_table(each, path)
        # Written long enough ago for a later change to show.
        os.utime(path, ns=(10**18, 10**18))
    return paths


class Reads(References):
    """Counts the references that were read."""

    read = 0

    def base(self, key, make):
        def made():
            self.read += 1
            return make()

        return super().base(key, made)


def test_a_file_that_has_not_changed_is_not_read_again(alone, tmp_path):
    references, paths = Reads(), files(tmp_path)
    told = [report(*paths, references=references) for _ in range(3)]
    assert references.read == 1
    assert told[0] == told[1] == told[2] == report(*paths)
    assert told[0]["risk_score"] == alone["fresh"]["risk_score"]
    # Other settings of what is read, and another scope.
    for config in (
        Config(cascade=preset("none"), seed=1),
        Config(cascade=preset("none"), sample=SampleConfig(rows=300)),
    ):
        run(*paths, config, references=references)
    assert references.read == 3
    another = references.scoped("another")
    report(*paths, references=another)
    assert another.read == 4


def test_a_file_that_has_changed_is_read_again(tmp_path):
    references, paths = Reads(), files(tmp_path)
    report(*paths, references=references)
    pq.write_table(table(600, 5), paths[1])
    changed = report(*paths, references=references)
    assert changed == report(*paths)
    # Just written, so that it could be written to again without a mark of it.
    assert references.read == 1
    os.utime(paths[1], ns=(10**18, 10**18))
    assert report(*paths, references=references)["reference"] == changed["reference"]
    assert references.read == 2


def test_from_python_one_object_is_shared_by_many_calls(alone):
    references = vr.References()
    for name in ("fresh", "broken"):
        told = vr.validate(CANDIDATES[name], REFERENCE, overrides=["cascade=none"], references=references)
        found = told.model_dump(mode="json")
        assert {key: value for key, value in found.items() if key != "run"} == alone[name]
    assert len(references) == 1

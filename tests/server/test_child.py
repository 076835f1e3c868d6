"""What a child tells of errors, and what the server keeps of reports to itself."""

import asyncio
import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.config import compose
from vr.core.errors import ConfigError, DataError
from vr.core.plain import to_plain
from vr.server import answers
from vr.server.addresses import Grant
from vr.server.child import _bounded, _Configurations, _refuse_others, _told, _Unavailable, _Worker
from vr.server.children import Child, Children
from vr.server.logs import _Lines


def test_absent_and_forbidden_behind_a_glob_are_the_same(tmp_path):
    root, secret = tmp_path / "root", tmp_path / "secret.csv"
    root.mkdir()
    secret.write_text("a\n1\n")
    (root / "link.csv").symlink_to(secret)
    grant = Grant.of([str(root)], [])
    for uri in (f"{root}/li*.csv", f"{root}/no*.csv", f"{root}/no.csv", f"{root}/*/x.csv"):
        with pytest.raises(_Unavailable):
            _refuse_others("candidate", uri, grant)


@pytest.mark.parametrize("uri", ["/data/a b/my file.csv", "/x.csv", "data/x.csv", "file:///data/a%20b.csv"])
def test_places_are_not_told(uri):
    output = "/srv/vr store/acme/v0/report"
    path = uri.removeprefix("file://").replace("%20", " ")
    error = DataError(f"{path}: broken, see {output}/x and /srv/vr store", where=uri, hint=f"look at {path}")
    told = _told(error, {"candidate": uri}, output)
    said = told["message"] + told["hint"]
    for place in (path, path.rsplit("/", 1)[1], "vr store", "acme"):
        assert place not in said
    assert (told["field"], "broken" in said) == ("job.candidate", True)


def test_words_stay():
    error = DataError("column a of the store has no rows", where="/data/x.csv")
    told = _told(error, {"candidate": "/data/x.csv"}, "/srv/store/acme/v0/report")
    assert told["message"] == "column a of the store has no rows"


def test_a_traceback_is_logged_beside_the_id(caplog):
    class Told(Child):
        async def _heard(self):
            try:
                raise ZeroDivisionError("/a/b")
            except ZeroDivisionError as error:
                return {"failed": _told(error, {}, "/s/t/v/report"), "number": 1}

        def _send(self, told):
            pass

    child = Told(None)
    with caplog.at_level(logging.ERROR, logger="vr.server"):
        told = asyncio.run(child.work({"id": "v1"}, lambda event: None))
    assert told["failed"] == {"kind": "Internal", "message": "", "field": None}
    line = json.loads(_Lines().format(caplog.records[-1]))
    assert line["validation_id"] == "v1"
    assert "ZeroDivisionError" in line["traceback"]


def test_a_report_tells_nothing_of_the_operators_settings():
    configuration = {
        "seed": 3,
        "cascade": {"tiers": []},
        "engine": {"address": "ray://inside:10001"},
        "signatures": {"library": "postgresql://u:secret@db/x"},
        "tracking": {"kind": "none"},
    }
    said = str(answers.whole_report({"run": {"seed": 3, "configuration": configuration}}))
    assert "tiers" in said
    for word in ("engine", "inside", "secret", "tracking"):
        assert word not in said


def test_no_request_reads_or_fills_the_operators_history(tmp_path):
    library = f"signatures.library={tmp_path / 'ours.db'}"
    ours = _Configurations(compose([library]))
    job = {"settings": {"cascade": "none", "overrides": [], "seed": 0}, "candidate": {"uri": "a.parquet"}}
    assert ours.of(job).signatures.history is False
    job["settings"]["overrides"] = ["recommendation.history=true"]
    with pytest.raises(ConfigError, match="the operator's to set"):
        ours.of(job)
    theirs = _Configurations(compose([library, "recommendation.history=true"]))
    assert theirs.of(job).recommendation.history is True


def test_what_was_asked_for_before_is_composed_once_and_what_is_refused_stays_so(monkeypatch):
    ours, composed = _Configurations(compose([])), []
    monkeypatch.setattr(
        "vr.server.child._bounded", lambda config, base: composed.append(config) or _bounded(config, base)
    )
    job = {"settings": {"cascade": "none", "overrides": ["sample.rows=500"], "seed": 1}, "candidate": {"uri": "a"}}
    first = ours.of(job)
    again = ours.of(job | {"settings": job["settings"] | {"seed": 2}})
    assert (first.seed, again.seed, first.sample.rows, len(composed)) == (1, 2, 500, 1)
    job["settings"]["overrides"] = ["sample.rows=1000001"]
    for _ in range(2):
        with pytest.raises(ConfigError, match="or less in a request"):
            ours.of(job)


def test_targets_of_a_request_stand_in_the_place_of_the_operators():
    ours = _Configurations(compose(["targets=[theirs]"]))
    job = {"settings": {"cascade": "none", "overrides": [], "seed": 1, "targets": ["price, in $"]}}
    assert ours.of(job).targets == ["price, in $"]
    del job["settings"]["targets"]
    assert ours.of(job).targets == ["theirs"]


def test_a_request_is_bounded_and_an_operator_is_not():
    base = compose([])
    for section, name, value in (("localization", "max_rows", 20_001), ("sample", "rows", 1_000_001)):
        asked = replace(base, **{section: replace(getattr(base, section), **{name: value})})
        with pytest.raises(ConfigError, match="or less in a request"):
            _bounded(asked, base)
        assert _bounded(asked, asked) is asked
    assert _bounded(base, base) is base


def test_one_tenants_files_are_read_in_one_process_and_anothers_in_another():
    worker = _Worker.__new__(_Worker)
    worker._base, worker._read_for = compose([]), None
    worker._reading = first = worker._new_reading()
    assert first is not None
    assert worker._reading_for("a") is worker._reading_for("a") is first
    assert worker._reading_for("b") is not first
    assert worker._reading_for("a") is not first


def test_a_validation_that_failed_leaves_its_reading_process_to_nobody(tmp_path):
    worker = _Worker({}, 1)
    first = worker._reading_for("a")
    settings = {"cascade": "none", "overrides": ["sample.rows=1000001"], "seed": 0}
    job = {"settings": settings, "candidate": {"uri": str(tmp_path / "a.parquet")}}
    told = []
    worker.work({"job": job, "grant": {}, "output": str(tmp_path / "out")}, told.append)
    assert "failed" in told[0]
    assert worker._reading is not first
    assert worker._read_for is None


def test_loops_are_compiled_before_the_first_job(monkeypatch):
    warmed = []
    monkeypatch.setattr("vr.stats.loops.warm_up", lambda: warmed.append(True))
    _Worker({"cascade": "none", "reading": {"isolation": "never"}}, 1)
    assert warmed


def request_for(folder, tmp_path, *overrides):
    rng = np.random.default_rng(0)
    for name in ("candidate", "reference"):
        x = rng.standard_normal((6_000, 8))
        pq.write_table(pa.table({f"x{j}": x[:, j] + x[:, 0] for j in range(8)}), folder / f"{name}.parquet")
    job = {name: {"uri": str(folder / f"{name}.parquet")} for name in ("candidate", "reference")}
    settings = {"cascade": "", "overrides": [*overrides], "seed": 0, "targets": []}
    grant = {"roots": [str(folder)], "buckets": []}
    return {"job": job | {"settings": settings}, "grant": grant, "output": str(tmp_path / "report"), "tenant": "t"}


def interrupted(request, stage, seconds=0.0):
    """Returns whether the child is the same after it was interrupted so long into a stage, and what it does next."""

    async def run():
        children = Children(1, to_plain(compose(["cascade=none", "signatures.history=false"])), 1, lambda code: None)
        children.start()
        child, seen = await children.take(), asyncio.Event()
        work = asyncio.ensure_future(
            child.work(request, lambda told: seen.set() if told["stage"] == stage else None),
        )
        await asyncio.wait_for(seen.wait(), 120)
        await asyncio.sleep(seconds)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        # Whatever it computes, whoever asks the server comes first.
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        begun = time.monotonic()
        await children.interrupt(child)
        took, other = time.monotonic() - begun, await children.take()
        assert not (Path(request["output"]) / "report.json").exists()
        told = await other.work(request | {"job": request["job"] | {"settings": WHOLE}}, lambda told: None)
        await children.close()
        return other is child, took, told

    return asyncio.run(run())


def test_a_validation_has_the_threads_of_children_that_are_idle():
    async def run():
        children = Children(4, to_plain(compose(["cascade=none"])), 2, lambda code: None)
        counts = []
        # As if four had started: none of them is asked anything.
        idle = [Child(None) for _ in range(4)]
        children._all.update(idle)
        for child in idle:
            children._free.put_nowait(child)
        for _ in range(4):
            children._free.get_nowait()
            counts.append(children.threads_now)
        return counts

    assert asyncio.run(run()) == [8, 4, 2, 2]


WHOLE = {"cascade": "none", "overrides": [], "seed": 0, "targets": []}


def test_a_child_that_is_interrupted_at_statistics_stays_warm_and_goes_on_with_the_same_folder(tmp_path):
    is_same, took, told = interrupted(request_for(tmp_path, tmp_path), "statistics")
    assert is_same
    assert took < 1.5
    assert told["finished"]["rows"] == 6_000


def test_a_training_is_left_after_a_segment_and_goes_on_with_the_same_folder(tmp_path):
    worker = _Worker(to_plain(compose(["cascade=none", "signatures.history=false"])), 1)
    tiny = "cascade.tiers=[{name:one,seeds:1,width:8,depth:1,steps:60}]"
    words = (tiny, "cascade.threads=1", "cascade.checkpoint_seconds=0")
    request, steps, told = request_for(tmp_path, tmp_path, *words), [], []

    def say(line):
        told.append(line)
        if (training := line.get("progress", {}).get("training")) is not None:
            steps.append(training["step"])

    # Of the end of a segment no other is told for ten seconds, and of a tier's end.
    worker.work(request, say, lambda: bool(steps))
    assert steps == [3]
    assert told[-1] == {"stopped": True}
    assert list(tmp_path.glob("report/.vr/training-*/one/step_0000000001"))
    assert not list(tmp_path.glob("report/.vr/cascade-*/one.json"))
    worker.work(request, say)
    assert told[-1]["finished"]["rows"] == 6_000
    # The next after the one that was kept.
    assert steps[1] == 6


def test_a_child_that_leaves_a_training_is_the_same(tmp_path, monkeypatch):
    # However slow the machine is: nobody ends it.
    monkeypatch.setattr("vr.server.children._STOP_S", 60.0)
    short = "cascade.tiers=[{name:one,seeds:4,width:8,depth:1,steps:20000}]"
    is_same, took, told = interrupted(request_for(tmp_path, tmp_path, short, "cascade.threads=2"), "cascade")
    assert is_same
    assert told["finished"]["rows"] == 6_000


def test_a_child_in_a_long_segment_of_a_training_is_ended(tmp_path):
    long = "cascade.tiers=[{name:one,seeds:3,width:16,depth:1,steps:100000}]"
    # Told of at the end of the first segment: into the second.
    is_same, took, told = interrupted(request_for(tmp_path, tmp_path, long, "cascade.threads=1"), "cascade", 0.5)
    assert not is_same
    assert told["finished"]["rows"] == 6_000

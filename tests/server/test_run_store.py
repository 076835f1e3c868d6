import os
import random
import time
from pathlib import Path

import pytest

from vr.pipeline.extent import Extent
from vr.server.failures import Failure
from vr.server.store import RunStore, new_id

JOB = {"candidate": {"uri": "/a"}, "settings": {"seed": 1}}


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "store")


def finished(store: RunStore) -> str:
    id = new_id("local", None)
    store.create("local", id, JOB)
    store.output("local", id).mkdir()
    (store.output("local", id) / "report.json").write_text('{"verdict": "review"}')
    store.keep("local", id, {"state": "finished"})
    return id


def test_the_same_key_is_the_same_validation():
    assert new_id("a", "key") == new_id("a", "key")
    assert new_id("a", "key") != new_id("b", "key")
    assert new_id("a", None) != new_id("a", None)


def test_the_same_job_is_created_once(store):
    id = new_id("local", "key")
    assert store.create("local", id, JOB)
    assert not store.create("local", id, JOB)
    with pytest.raises(Failure, match="idempotency key"):
        store.create("local", id, JOB | {"settings": {"seed": 2}})
    assert store.job("local", id) == JOB
    assert store.job("other", id) is None


@pytest.mark.parametrize("id", ["", "..", "v" + "0" * 31, "v" + "0" * 33, "v../../../../../etc/passwd", "V" + "0" * 32])
def test_what_is_no_id_is_looked_for_nowhere(store, id):
    assert store.job("local", id) is None


def test_a_report_comes_back(store):
    assert store.report("local", finished(store)) == {"verdict": "review"}


def test_no_flipped_bit_is_served(store):
    """Every file of a validation, at seeded places: never another answer than the one that was written."""
    id, rng = finished(store), random.Random(0)
    folder = store.output("local", id).parent
    for path in (folder / "job.json", folder / "state.json", folder / "report" / "report.json"):
        whole = path.read_bytes()
        for _ in range(40):
            place = rng.randrange(len(whole))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
            try:
                assert (store.job("local", id), store.report("local", id)) == (JOB, {"verdict": "review"})
            except Failure as failure:
                assert failure.reason == "STATE_DAMAGED"  # noqa: PT017 - either this, or what was written
            else:
                # A name or a blank that the digest does not cover.
                assert path.name != "report.json"
        path.write_bytes(whole)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(Failure):
            assert store.job("local", id) == store.report("local", id)
        path.write_bytes(whole)
    assert store.report("local", id) == {"verdict": "review"}


def test_one_server_holds_a_validation(store):
    id = new_id("local", None)
    store.create("local", id, JOB)
    handle = store.lock("local", id)
    assert handle is not None
    assert store.lock("local", id) is None
    os.close(handle)
    again = store.lock("local", id)
    assert again is not None
    os.close(again)


def test_what_nobody_waits_for_is_not_taken_up_again(store):
    done, waiting, left = finished(store), new_id("local", None), new_id("local", None)
    for id in (waiting, left):
        store.create("local", id, JOB)
    store.keep("local", left, {"state": "abandoned"})
    assert done not in {id for _, id, _ in store.unfinished()}
    assert list(store.unfinished()) == [("local", waiting, Extent.whole)]


@pytest.mark.parametrize(
    ("verdict", "whole", "goes_on"),
    [
        (None, None, "whole"),  # as an earlier version left it
        ("queued", None, "verdict"),
        ("finished", None, None),
        ("finished", "queued", "whole"),
        ("queued", "queued", "whole"),
        ("queued", "abandoned", "verdict"),
        ("abandoned", "abandoned", None),
        ("queued", "finished", None),
    ],
)
def test_of_two_extents_what_somebody_waits_for_is_taken_up_again(store, verdict, whole, goes_on):
    id = new_id("local", None)
    store.create("local", id, JOB)
    (store.output("local", id).parent / "state.json").unlink()
    for extent, state in ((Extent.verdict, verdict), (Extent.whole, whole)):
        if state is not None:
            store.output("local", id, extent).mkdir()
            (store.output("local", id, extent) / "report.json").write_text("{}")
            store.keep("local", id, {"state": state}, extent)
    assert [extent for _, _, extent in store.unfinished()] == ([] if goes_on is None else [goes_on])


def test_what_was_asked_for_is_known_before_anything_of_it_is_done(store):
    id = new_id("local", None)
    assert store.create("local", id, JOB, Extent.verdict)
    assert {extent: each["state"] for extent, each in store.states("local", id).items()} == {"verdict": "queued"}
    assert not store.create("local", id, JOB)
    assert {extent: each["state"] for extent, each in store.states("local", id).items()} == {
        "verdict": "queued",
        "whole": "queued",
    }
    store.keep("local", id, {"state": "cancelled"}, Extent.verdict)
    # Asked for again, an end stays one.
    assert not store.create("local", id, JOB, Extent.verdict)
    assert store.state("local", id, Extent.verdict)["state"] == "cancelled"


def test_each_extent_has_its_own_report_lock_and_cancellation(store):
    id = finished(store)
    store.output("local", id, Extent.verdict).mkdir()
    (store.output("local", id, Extent.verdict) / "report.json").write_text('{"verdict": "reject"}')
    store.keep("local", id, {"state": "finished"}, Extent.verdict)
    assert store.report("local", id)["verdict"] == "review"
    assert store.report("local", id, Extent.verdict)["verdict"] == "reject"
    store.ask_to_cancel("local", id, Extent.verdict)
    assert not store.is_to_be_cancelled("local", id)
    held = store.lock("local", id, Extent.verdict)
    other = store.lock("local", id)
    assert None not in (held, other)
    os.close(other)
    # What is held of it in any extent is not swept.
    store.sweep(-1)
    assert store.job("local", id) == JOB
    os.close(held)
    store.sweep(-1)
    assert store.job("local", id) is None


def test_a_validation_is_as_old_as_what_was_last_done_of_it(store):
    id = finished(store)
    for path in store.output("local", id).parent.glob("*.json"):
        os.utime(path, (time.time() - 100,) * 2)
    store.create("local", id, JOB, Extent.verdict)
    store.sweep(50)
    assert store.job("local", id) == JOB


def test_old_validations_go_and_held_ones_stay(store):
    old, held, new = finished(store), finished(store), finished(store)
    for id in (old, held):
        path = store.output("local", id).parent / "state.json"
        os.utime(path, (time.time() - 100,) * 2)
    handle = store.lock("local", held)
    store.sweep(50)
    assert store.job("local", old) is None
    assert store.job("local", held) == store.job("local", new) == JOB
    os.close(handle)


def test_a_probe_of_another_server_is_no_fault(store, monkeypatch):
    """Process numbers are the same in many containers, and a sweep may come between."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    written = Path.write_bytes

    def and_taken_away(path, content):
        written(path, content)
        path.unlink()

    monkeypatch.setattr(Path, "write_bytes", and_taken_away)
    store.check()

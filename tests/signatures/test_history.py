"""History beside a library's signatures: nothing is lost, kept twice, or believed once it is damaged."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.signatures.examples import applied, fix, prediction, signatures, validation
from vr.core.errors import LibraryError
from vr.signatures.database import Database
from vr.signatures.history import History, keep, read
from vr.signatures.records import Fix

WRITER = Path(__file__).with_name("remembering.py")


def kept(place, *records) -> History:
    with Database(place) as database:
        keep(database, records)
        return read(database)


def test_what_is_kept_is_read_again(place):
    first, second = fix("a", "b"), fix("b", "c")
    found = kept(place, validation("a"), first, validation("b", 30.0), second, validation("c", 10.0))
    # Of one second, so in an order of their own.
    assert {each for _, each in found.fixes} == {first, second}
    assert found.outcome(first) == (validation("b", 30.0), None)
    assert found.outcome(second) == (validation("c", 10.0), None)
    assert (found.num_validations, found.num_datasets, found.damaged) == (3, 3, 0)
    assert found.recommended == {"drop_rows": 3}
    assert [recorded[:2] for recorded, _ in found.fixes] == ["20", "20"]


def test_the_same_told_twice_is_kept_once(place):
    with Database(place) as database:
        assert keep(database, [validation(), validation(), fix()]) == 2
        assert keep(database, [fix(), validation("b")]) == 1
        assert read(database).num_validations == 2


def test_a_library_of_before_gets_a_history_and_stays_as_it_is(place):
    some = signatures(5)
    with Database(place) as database:
        database.add(some)
        before = database.read()
        assert read(database) == History()
        keep(database, [validation()])
        # The generation is in every report: history must not raise it.
        assert database.read() == before
        assert database.add(signatures(1, 9)) == 1
        assert read(database).num_validations == 1


def test_processes_at_once_lose_nothing_and_nobody_waits_for_a_table(place, repository):
    with Database(place) as database:
        database.add(signatures(3))
    environment = os.environ | {"PYTHONPATH": str(repository)}
    words = [[sys.executable, str(WRITER), place, str(seed), "25"] for seed in range(6)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(each, cwd=repository, env=environment, **pipes) for each in words]
    said: set[str] = set()
    for process in running:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        said |= set(out.split())
    with Database(place) as database:
        found = read(database)
        assert len(database.read().signatures) == 3
    assert len(said) == 150
    assert {each.before.fingerprint for _, each in found.fixes} == said
    assert (found.num_validations, found.damaged) == (150, 0)


def test_damaged_rows_take_no_part(tmp_path):
    path = str(tmp_path / "library.db")
    kept(path, validation("a"), validation("b"), fix("a", "b"), fix("b", "c"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vr_history SET content = replace(content, '80.0', '8.0') WHERE kind = 'validation'")
        connection.execute(
            "UPDATE vr_history SET content = CAST(x'7bff' AS TEXT) WHERE content LIKE '%\"output\": \"c\"%'"
        )
        connection.execute("INSERT INTO vr_history VALUES ('x', 'rumour', '2026', '{}')")
    connection.close()
    with Database(path) as database:
        found = read(database)
    assert [each for _, each in found.fixes] == [fix("a", "b")]
    assert (found.num_validations, found.damaged) == (0, 4)


def test_nobody_waits_for_ever_for_another_writer(place, monkeypatch):
    monkeypatch.setattr("vr.signatures.database.BUSY_S", 1.0)
    with Database(place) as database, Database(place) as other:
        refused = []

        def busy(_):
            with pytest.raises(LibraryError, match="locked|lock timeout"):
                keep(other, [validation()])
            refused.append(True)

        database.write(busy)
        assert refused == [True]
        assert keep(other, [validation()]) == 1


def test_history_that_cannot_be_written_is_an_error_of_its_own(tmp_path):
    path = tmp_path / "library.db"
    with Database(str(path)) as database:
        database.add(signatures(1))
    with Database(f"sqlite:///file:{path}?mode=ro&uri=true", create=False) as database:
        assert read(database) == History()
        with pytest.raises(LibraryError, match="failed"):
            keep(database, [validation()])


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ([], "not validated since"),
        ([validation("b", reference="other")], "validated against another reference"),
        ([validation("b", reference=None)], "validated against another reference"),
        ([validation("b", question="other")], "validated with other settings"),
    ],
)
def test_an_outcome_is_of_the_same_question(tmp_path, after, reason):
    found = kept(str(tmp_path / "library.db"), validation("a"), fix("a", "b"), *after)
    assert found.outcome(fix("a", "b")) == (None, reason)


def test_of_several_outcomes_that_of_the_same_seed_counts(tmp_path):
    path = str(tmp_path / "library.db")
    kept(path, validation("b", 40.0, seed=7))
    found = kept(path, fix("a", "b"))
    assert found.outcome(fix("a", "b"))[0] == validation("b", 40.0, seed=7)
    found = kept(path, validation("b", 30.0, seed=0))
    assert found.outcome(fix("a", "b"))[0] == validation("b", 30.0)


def test_the_prediction_of_a_fix_is_the_lowest_of_what_was_done_as_told():
    done: Fix = fix(
        "a",
        "b",
        applied("drop_rows", 40.0, priority=1),
        applied("add_real_rows", 5.0, as_told=False, priority=2),
        applied("deduplicate", 30.0, priority=3),
        applied("clip", 10.0, "nothing_to_do", priority=4),
        applied("clip", None, priority=5),
    )
    assert done.foretold == prediction("deduplicate", 30.0, priority=3)
    assert not done.is_of_one
    assert fix("a", "b", applied("clip", None)).foretold is None
    assert fix("a", "b", applied("clip", 7.0), applied("deduplicate", 3.0, "skipped")).is_of_one


def test_what_was_measured_of_just_what_was_done_is_what_was_predicted():
    at_once = prediction("together", 12.0, priority=0)
    done = fix("a", "b", applied("drop_rows", 40.0), applied("deduplicate", 30.0, priority=2))
    assert done.model_copy(update={"together": at_once}).foretold == at_once
    # A record of before there was any such thing.
    document = done.model_dump(mode="json")
    del document["together"]
    assert Fix.model_validate(document) == done

"""Libraries in SQL: nothing is lost, whoever writes at once and whoever is killed; what is damaged is noticed."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.signatures.examples import signatures
from vr.core.errors import ConfigError, LibraryError
from vr.signatures.database import Database

WRITER = Path(__file__).with_name("writer.py")


def writer(place: str, seed: int, number: int, repository: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    words = [sys.executable, str(WRITER), place, str(seed), str(number)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository, env=environment
    )


def written_at_once(place: str, processes: int, each: int, repository: Path) -> set[str]:
    """Ids that the writers say they committed; all of them together."""
    running = [writer(place, seed, each, repository) for seed in range(processes)]
    ids: set[str] = set()
    for process in running:
        out, err = process.communicate(timeout=1_200)
        assert process.returncode == 0, err
        ids |= set(out.split())
    return ids


def test_what_is_added_is_read_again_in_order_of_ids(place):
    some = signatures(30)
    with Database(place) as database:
        assert database.add(some[:20]) == 20
        assert database.add(some[10:]) == 10
        contents = database.read()
    assert list(contents.signatures) == sorted(some, key=lambda each: each.id)
    assert (contents.generation, contents.damaged, contents.lost) == (2, (), 0)


def test_adding_again_adds_nothing(place):
    some = signatures(5)
    for _ in range(2):
        with Database(place) as database:
            database.add(some)
    with Database(place, create=False) as database:
        assert len(database.read().signatures) == 5
        # What changes nothing leaves reports and the index of this generation good.
        assert database.generation() == 1


def test_writers_at_once_lose_nothing(place, repository):
    # 800 in all; `make faults` writes 10,000.
    ids = written_at_once(place, 8, 100, repository)
    with Database(place) as database:
        contents = database.read()
    assert len(ids) == 800
    assert {each.id for each in contents.signatures} == ids
    assert (contents.generation, contents.lost, contents.damaged) == (800, 0, ())


@pytest.mark.slow
def test_ten_thousand_writes_of_eight_processes_lose_nothing(place, repository):
    ids = written_at_once(place, 8, 1_250, repository)
    with Database(place) as database:
        contents = database.read()
    assert len(ids) == 10_000
    assert {each.id for each in contents.signatures} == ids
    assert (contents.generation, contents.lost, contents.damaged) == (10_000, 0, ())


def test_a_killed_writer_leaves_what_it_committed_and_a_usable_library(place, repository):
    committed: list[str] = []
    for seed in range(2):
        process = writer(place, seed, 300, repository)
        assert process.stdout is not None
        # Somewhere within a transaction, mostly.
        committed += [process.stdout.readline().strip() for _ in range(20 + 7 * seed)]
        process.send_signal(signal.SIGKILL)
        committed += process.stdout.read().split()
        process.wait(60)
    with Database(place) as database:
        contents = database.read()
        assert (contents.lost, contents.damaged) == (0, ())
        # A commit whose word did not get out may be there too, and nothing else.
        written = {each.id for seed in range(2) for each in signatures(300, seed)}
        assert set(committed) <= {each.id for each in contents.signatures} < written
        assert database.add(signatures(1, 99)) == 1


def is_whole(path: Path) -> bool:
    """Whether SQLite itself finds a file whole."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def about(path: Path) -> object:
    """What a file that SQLite can read says of itself: tables and the library's own row."""
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        tables = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        return tables, connection.execute("SELECT * FROM vr_library").fetchall()
    except sqlite3.DatabaseError as err:
        return str(err)
    finally:
        connection.close()


def test_text_that_is_no_text_any_longer_costs_one_signature(tmp_path):
    path = tmp_path / "library.db"
    some = signatures(5)
    with Database(str(path)) as database:
        database.add(some)
    with sqlite3.connect(path) as connection:
        content = bytearray(some[2].content().encode())
        content[20] ^= 0x80
        connection.execute(
            "UPDATE vr_signatures SET content = CAST(? AS TEXT) WHERE id = ?", (bytes(content), some[2].id)
        )
    connection.close()
    with Database(str(path)) as database:
        contents = database.read()
        assert contents.damaged == (some[2].id,)
        assert len(contents.signatures) == 4
        assert database.add(some) == 1
        assert database.read().damaged == ()


def test_a_librarys_own_row_of_another_type_is_damage(tmp_path):
    path = tmp_path / "library.db"
    with Database(str(path)) as database:
        database.add(signatures(1))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE vr_library SET num_signatures = 'many'")
    connection.close()
    with pytest.raises(LibraryError, match="is damaged"):
        Database(str(path))


def test_no_flipped_bit_of_a_file_goes_unnoticed(tmp_path):
    path = tmp_path / "library.db"
    some = signatures(40)
    with Database(str(path)) as database:
        database.add(some)
    # Everything in the one file.
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    content, expected = path.read_bytes(), {each.id for each in some}
    rng = np.random.default_rng(0)
    noticed = 0
    for trial in range(100):
        bad = bytearray(content)
        bad[int(rng.integers(len(bad)))] ^= 1 << int(rng.integers(8))
        other = tmp_path / f"{trial}.db"
        other.write_bytes(bad)
        try:
            with Database(str(other), create=False) as database:
                contents = database.read()
        except (LibraryError, ConfigError):
            # Where SQLite finds the file whole, what is whole in it is to be had.
            assert not is_whole(other) or about(other) != about(path), trial
            noticed += 1
            continue
        left = {each.id for each in contents.signatures}
        assert left <= expected
        if left != expected:
            assert contents.damaged or contents.lost
            noticed += 1
    # What holds no data, such as free space in a page, may change unseen.
    assert noticed > 50


def test_a_row_that_somebody_edited_takes_no_part(tmp_path):
    path = tmp_path / "library.db"
    some = signatures(10)
    with Database(str(path)) as database:
        database.add(some)
    with sqlite3.connect(path) as connection:
        content = connection.execute("SELECT content FROM vr_signatures WHERE id = ?", (some[3].id,)).fetchone()[0]
        connection.execute(
            "UPDATE vr_signatures SET content = ? WHERE id = ?", (content.replace("lineage", "damage"), some[3].id)
        )
        connection.execute("DELETE FROM vr_signatures WHERE id = ?", (some[4].id,))
    connection.close()
    with Database(str(path)) as database:
        contents = database.read()
    assert contents.damaged == (some[3].id,)
    assert contents.lost == 1
    assert len(contents.signatures) == 8


def test_what_was_damaged_and_lost_is_back_after_an_import(place):
    some = signatures(10)
    with Database(place) as database:
        database.add(some)
        with database._engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE vr_signatures SET content = '{{}}' WHERE id = '{some[3].id}'")
            connection.exec_driver_sql(f"UPDATE vr_signatures SET sha256 = 'x' WHERE id = '{some[4].id}'")
            connection.exec_driver_sql(f"DELETE FROM vr_signatures WHERE id = '{some[5].id}'")
        # Another signature does not make up for a lost one, and a damaged one is replaced.
        assert database.add([*signatures(1, 5), some[3]]) == 2
        contents = database.read()
        assert (contents.damaged, contents.lost) == ((some[4].id,), 1)
        assert database.add(some, restore=True) == 2
        contents = database.read()
    assert (contents.damaged, contents.lost) == ((), 0)
    assert {each.id for each in contents.signatures} == {each.id for each in [*some, *signatures(1, 5)]}


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nothing.db", ConfigError, "is no library"),
        ("text.db", LibraryError, "is damaged"),
        ("other.db", ConfigError, "is no library"),
        ("newer.db", LibraryError, "format"),
        ("sqlite://", ConfigError, "is no file"),
        ("nosuch://host/base", ConfigError, "needs a driver"),
        ("postgresql://127.0.0.1:1/none?connect_timeout=2", LibraryError, "failed"),
    ],
)
def test_what_is_no_library_is_refused_by_name(tmp_path, name, error, words):
    (tmp_path / "text.db").write_text("this is no database, and says so at some length. " * 100)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    with Database(str(tmp_path / "newer.db")):
        pass
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("UPDATE vr_library SET format = 9")
    newer.commit()
    newer.close()
    place = name if "://" in name else str(tmp_path / name)
    with pytest.raises(error, match=words):
        Database(place, create=False)


@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_another_program_is_left_as_it_is(tmp_path, create):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(ConfigError, match="another program's" if create else "is no library"):
        Database(str(path), create=create)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_a_library_is_logged_ahead(tmp_path):
    path = tmp_path / "library.db"
    for _ in range(2):
        with Database(str(path)) as database:
            database.add(signatures(1))
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        # Copied by another tool, it may have come out of the mode.
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
    read_only = f"sqlite:///file:{path}?mode=ro&uri=true"
    with Database(read_only, create=False) as database:
        assert len(database.read().signatures) == 1


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Database("~/library.db") as database:
        assert database.path == tmp_path / "library.db"
    assert (tmp_path / "library.db").is_file()


def test_a_password_is_in_no_message():
    with pytest.raises(LibraryError) as caught:
        Database("postgresql://vr:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in str(caught.value)


def test_a_library_that_cannot_be_written_to_can_be_read(tmp_path):
    path = tmp_path / "library.db"
    with Database(str(path)) as database:
        database.add(signatures(3))
    read_only = f"sqlite:///file:{path}?mode=ro&uri=true"
    with Database(read_only, create=False) as database:
        assert len(database.read().signatures) == 3
        assert database.remember_index(1, "0" * 64) is False
        with pytest.raises(LibraryError):
            database.add(signatures(1, 5))

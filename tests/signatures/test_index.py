"""FAISS and NumPy find the same neighbours, and no index is trusted that the database does not vouch for."""

import numpy as np
import pytest

from tests.signatures.examples import signatures
from vr.signatures.config import SignaturesConfig
from vr.signatures.database import Database
from vr.signatures.geometry import distances, similarity, vectors
from vr.signatures.index import IndexFile, build, nearest
from vr.signatures.library import index_path, open_library


def points(number: int, seed: int = 0) -> np.ndarray:
    return vectors([each.fingerprint for each in signatures(number, seed)])


@pytest.mark.parametrize("number", [0, 1, 7, 400])
@pytest.mark.parametrize("k", [1, 5, 50])
def test_faiss_and_numpy_agree(number, k):
    known = points(number)
    # Ties: every vector twice.
    known = np.concatenate([known, known]).reshape(2 * number, points(1).shape[1])
    ways = build(known, faiss=True), build(known, faiss=False)
    for query in points(20, seed=1):
        (a, far), (b, away) = (nearest(way, known, query, k) for way in ways)
        assert a.tolist() == b.tolist()
        np.testing.assert_array_equal(far, away)
        assert len(a) == min(k, 2 * number)
        np.testing.assert_allclose(far, np.sort(distances(query, known))[:k])


def test_similarity_is_one_for_equal_fingerprints_and_falls_with_distance():
    a, b = points(2)
    assert similarity(distances(a, a[None]))[0] == 1.0
    assert 0.0 < similarity(distances(a, b[None]))[0] < 1.0
    assert distances(a, b[None])[0] == pytest.approx(distances(b, a[None])[0])


@pytest.fixture
def library(tmp_path):
    """A library of 60 with its index on the disk."""
    path = tmp_path / "library.db"
    with Database(str(path)) as database:
        database.add(signatures(60))
    settings = SignaturesConfig(library=str(path), shipped=False)
    open_library(settings)
    return path, settings


def answer(settings):
    found = open_library(settings)
    return [(each.signature.id, each.similarity) for each in found.match(signatures(1, 7)[0].fingerprint, 10)]


def rows_of(path):
    with Database(str(path)) as database:
        return database.read()


def loaded(path):
    """The index file as the library would load it, None where it would not."""
    contents = rows_of(path)
    known = vectors([each.fingerprint for each in contents.signatures])
    return IndexFile(index_path(path)).load(known, contents.generation, contents.index_sha256)


def test_an_index_that_is_as_it_was_written_is_used(library):
    path, settings = library
    before = index_path(path).stat().st_mtime_ns
    assert loaded(path) is not None
    answer(settings)
    assert index_path(path).stat().st_mtime_ns == before


def test_every_flipped_bit_of_an_index_is_noticed_and_the_index_rebuilt(library, caplog):
    path, settings = library
    file, expected = index_path(path), answer(settings)
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(15):
        bad = bytearray(content)
        bad[int(rng.integers(len(bad)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bad)
        caplog.clear()
        assert loaded(path) is None
        assert answer(settings) == expected
        assert "built anew" in caplog.text
        assert file.read_bytes() == content


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "longer", "another library's"])
def test_an_index_that_is_not_the_librarys_is_rebuilt(library, tmp_path, damage):
    path, settings = library
    file, expected = index_path(path), answer(settings)
    content = file.read_bytes()
    if damage == "absent":
        file.unlink()
    elif damage == "another library's":
        other = tmp_path / "other.db"
        with Database(str(other)) as database:
            database.add(signatures(60, seed=3))
        open_library(SignaturesConfig(library=str(other), shipped=False))
        file.write_bytes(index_path(other).read_bytes())
    else:
        file.write_bytes({"truncated": content[:-9], "empty": b"", "longer": content + b"x"}[damage])
    assert answer(settings) == expected
    assert file.read_bytes() == content


def test_an_index_of_another_generation_is_not_used(library):
    path, settings = library
    old = index_path(path).read_bytes()
    with Database(str(path)) as database:
        database.add(signatures(1, 7))
    assert answer(settings)[0] == (signatures(1, 7)[0].id, 1.0)
    assert index_path(path).read_bytes() != old
    # The older file put back is whole, and still not this library's.
    index_path(path).write_bytes(old)
    assert loaded(path) is None
    assert answer(settings)[0][1] == 1.0


def test_a_flipped_bit_in_the_database_leaves_the_rest_to_search(library, caplog):
    import sqlite3

    path, settings = library
    wanted = answer(settings)[0][0]
    with sqlite3.connect(path) as connection:
        content = connection.execute("SELECT content FROM vr_signatures WHERE id = ?", (wanted,)).fetchone()[0]
        position = content.index('"fingerprint":[') + 16
        changed = content[:position] + chr(ord(content[position]) ^ 1) + content[position + 1 :]
        connection.execute("UPDATE vr_signatures SET content = ? WHERE id = ?", (changed, wanted))
    connection.close()
    found = open_library(settings)
    assert found.damaged == (wanted,)
    assert "1 damaged" in caplog.text
    assert wanted not in [each.signature.id for each in found.match(signatures(1, 7)[0].fingerprint, 60)]


def test_a_crafted_index_is_refused_by_the_limits(library):
    import faiss

    path, settings = library
    contents = rows_of(path)
    known = vectors([each.fingerprint for each in contents.signatures])
    file = IndexFile(index_path(path))
    # Whole and vouched for, but not what a library makes: more vectors, another metric, another type.
    wide = faiss.IndexFlatL2(known.shape[1])
    wide.add(np.zeros((100_000, known.shape[1]), np.float32))
    dot = faiss.IndexFlatIP(known.shape[1])
    dot.add(known)
    graph = faiss.IndexHNSWFlat(known.shape[1], 8)
    graph.add(known)
    from vr.signatures import index as module

    for crafted in (wide, dot, graph):
        payload = faiss.serialize_index(crafted).tobytes()
        assert module._deserialised(payload, known) is None
    assert file.load(known, contents.generation, contents.index_sha256) is not None


def test_without_faiss_the_answers_are_the_same(library, monkeypatch):
    path, settings = library
    expected = answer(settings)
    monkeypatch.setattr("vr.signatures.index.has_faiss", lambda: False)
    assert answer(settings) == expected

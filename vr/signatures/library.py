"""A library as it is searched: the signatures that vr ships and those of a database, nearest first."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vr.signatures.components import NAMES
from vr.signatures.config import SignaturesConfig
from vr.signatures.document import load_shipped
from vr.signatures.geometry import similarity, vectors
from vr.signatures.index import Index, IndexFile, build, nearest
from vr.signatures.signature import Signature

__all__ = ["Library", "Match", "open_library"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Match:
    """A signature of the library and how near it is, 0 to 1."""

    signature: Signature
    similarity: float


@dataclass(frozen=True)
class _Part:
    signatures: tuple[Signature, ...]
    vectors: np.ndarray
    index: Index

    def nearest(self, query: np.ndarray, number: int) -> list[tuple[float, Signature]]:
        positions, away = nearest(self.index, self.vectors, query, number)
        return [(float(d), self.signatures[i]) for i, d in zip(positions, away, strict=True)]


@dataclass(frozen=True)
class Library:
    """What a fingerprint is compared with.

    Attributes:
      parts: Shipped signatures and those of a database, each with an index.
      generation: Of the database; None without one.
      damaged: Ids of the database's rows that are not what was written, and take no part.
      lost: How many of its rows are missing.
    """

    parts: tuple[_Part, ...]
    generation: int | None = None
    damaged: tuple[str, ...] = ()
    lost: int = 0

    @classmethod
    def of(cls, *parts: tuple[Signature, ...]) -> "Library":
        """Returns a library of signatures in memory."""
        return cls(tuple(_part(part) for part in parts))

    @property
    def signatures(self) -> list[Signature]:
        """All of them, each once."""
        return list({each.id: each for part in self.parts for each in part.signatures}.values())

    @property
    def digest(self) -> str:
        """SHA-256 over all ids, and so over all contents: what an answer depends on."""
        return hashlib.sha256("".join(sorted(each.id for each in self.signatures)).encode()).hexdigest()

    def match(self, fingerprint: tuple[float | None, ...], number: int) -> list[Match]:
        """Returns the `number` most similar signatures, best first; of equally similar ones by id."""
        query = vectors([fingerprint])[0]
        found = {each.id: (away, each) for part in self.parts for away, each in part.nearest(query, number)}
        order = sorted(found.values(), key=lambda item: (item[0], item[1].id))[:number]
        return [Match(each, float(similarity(away))) for away, each in order]


def open_library(config: SignaturesConfig, *, create: bool = False) -> Library:
    """Returns the library that a configuration names, its index trusted or built anew.

    Raises:
      ConfigError: There is no such database.
      LibraryError: It cannot be read.
    """
    shipped = (_shipped(),) if config.shipped else ()
    if config.library is None:
        return Library(shipped)
    from vr.signatures.database import Database

    with Database(config.library, create=create) as database:
        contents = database.read()
        points = vectors([each.fingerprint for each in contents.signatures])
        index = None
        if database.path is not None and contents.signatures:
            index = _stored_index(database, contents, points)
        own = _Part(contents.signatures, points, build(points) if index is None else index)
        if contents.damaged or contents.lost:
            _LOG.warning(
                "%s: %d damaged and %d missing signatures are left out; import the last export to have them back",
                database.name,
                len(contents.damaged),
                contents.lost,
            )
    return Library((*shipped, own), contents.generation, contents.damaged, contents.lost)


def index_path(database: Path) -> Path:
    """Returns where the index of a SQLite library is."""
    return database.with_name(f"{database.name}.index")


def _stored_index(database, contents, points: np.ndarray) -> Index:  # noqa: ANN001 - imported late
    """Returns the index on the disk where it is what the database says, else a new one, stored in its place."""
    file = IndexFile(index_path(database.path))
    sha256 = contents.index_sha256 if contents.index_generation == contents.generation else ""
    if (found := file.load(points, contents.generation, sha256)) is not None:
        return found
    if sha256 and file.path.exists():
        _LOG.warning("%s: is not what was written, and is built anew from the database", file.path)
    index = build(points)
    if (written := file.store(index, points, contents.generation)) is not None:
        database.remember_index(contents.generation, written)
    return index


_CACHED: dict[str, _Part] = {}


def _shipped() -> _Part:
    if "shipped" not in _CACHED:
        _CACHED["shipped"] = _part(load_shipped().signatures)
    return _CACHED["shipped"]


def _part(signatures: tuple[Signature, ...]) -> _Part:
    ordered = tuple(sorted(signatures, key=lambda each: each.id))
    points = vectors([each.fingerprint for each in ordered]).reshape(len(ordered), len(NAMES))
    return _Part(ordered, points, build(points))

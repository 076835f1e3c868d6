"""Nearest signatures: a flat FAISS index, exact as it is, with exact NumPy where FAISS is absent.

An index file saves a library the work of building one. It is trusted only where its SHA-256 and its generation are
those that the database has noted, and is read under limits; anything else is built anew from the database.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vr.core.files import sync_folder
from vr.signatures.geometry import distances

__all__ = ["Index", "IndexFile", "build", "has_faiss", "nearest"]

_MAGIC = b"vr-signatures-index-1\n"
_MOST_HEAD = 1_000  # bytes of its first line
_MARGIN = 32  # neighbours looked at beyond those asked for: FAISS ranks in single precision


class Index(Protocol):
    """Finds the nearest of its vectors."""

    def candidates(self, query: np.ndarray, number: int) -> np.ndarray:
        """Returns positions of at least the `number` nearest, in any order, int `[m]`."""
        ...


@dataclass(frozen=True)
class _Numpy:
    vectors: np.ndarray

    def candidates(self, query: np.ndarray, number: int) -> np.ndarray:
        return np.arange(len(self.vectors))


@dataclass(frozen=True)
class _Faiss:
    index: Any

    def candidates(self, query: np.ndarray, number: int) -> np.ndarray:
        number = min(self.index.ntotal, number + _MARGIN)
        if number == 0:
            return np.empty(0, int)
        return self.index.search(query[None].astype(np.float32), number)[1][0]


def has_faiss() -> bool:
    """Returns whether FAISS is there."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def build(vectors: np.ndarray, faiss: bool | None = None) -> Index:
    """Returns an index of `vectors [n, p]`; with FAISS, unless told otherwise, where it is there."""
    if not (has_faiss() if faiss is None else faiss):
        return _Numpy(vectors)
    import faiss as library

    index = library.IndexFlatL2(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    return _Faiss(index)


def nearest(index: Index, vectors: np.ndarray, query: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `number` nearest of `vectors`, and how far each is; of equally far ones the first.

    Args:
      index: Of `vectors`.
      vectors: float32 `[n, p]`.
      query: float32 `[p]`.
      number: How many.

    Returns:
      Positions, int `[k]`, nearest first, and root mean square differences, float64 `[k]`; k is n where that is less.
    """
    found = np.sort(index.candidates(query, number))
    away = distances(query, vectors[found])
    order = np.argsort(away, kind="stable")[:number]
    return found[order], away[order]


@dataclass(frozen=True)
class IndexFile:
    """An index on a disk: one line of JSON about it, then FAISS's own bytes."""

    path: Path

    def load(self, vectors: np.ndarray, generation: int, sha256: str) -> Index | None:
        """Returns the index where the file is whole, of this generation and of these vectors' shape; else None."""
        if not sha256 or not has_faiss():
            return None
        most = len(_MAGIC) + _MOST_HEAD + vectors.nbytes + (1 << 16)
        try:
            with self.path.open("rb") as file:
                content = file.read(most + 1)
        except OSError:
            return None
        if len(content) > most or hashlib.sha256(content).hexdigest() != sha256 or not content.startswith(_MAGIC):
            return None
        head, _, payload = content[len(_MAGIC) :].partition(b"\n")
        try:
            told = json.loads(head)
        except ValueError:
            return None
        if told != _told(vectors, generation):
            return None
        return _deserialised(payload, vectors)

    def store(self, index: Index, vectors: np.ndarray, generation: int) -> str | None:
        """Writes the index whole or not at all and returns its SHA-256; None where nothing can be written here."""
        if not isinstance(index, _Faiss):
            return None
        import faiss

        payload = faiss.serialize_index(index.index).tobytes()
        content = _MAGIC + json.dumps(_told(vectors, generation)).encode() + b"\n" + payload
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        except OSError:
            return None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
            sync_folder(self.path.parent)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            return None
        return hashlib.sha256(content).hexdigest()


def _told(vectors: np.ndarray, generation: int) -> dict[str, int]:
    return {"generation": generation, "vectors": len(vectors), "components": vectors.shape[1]}


def _deserialised(payload: bytes, vectors: np.ndarray) -> Index | None:
    import faiss

    # What the header of a crafted file asks to allocate is bounded by what such an index can need.
    faiss.set_deserialization_vector_byte_limit(vectors.nbytes + (1 << 16))
    faiss.set_deserialization_loop_limit(1 << 10)
    try:
        index = faiss.deserialize_index(np.frombuffer(payload, np.uint8))
    except RuntimeError:
        return None
    if not isinstance(index, faiss.IndexFlat) or index.metric_type != faiss.METRIC_L2:
        return None
    if index.d != vectors.shape[1] or index.ntotal != len(vectors):
        return None
    return _Faiss(index)

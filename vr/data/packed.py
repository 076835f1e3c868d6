"""Settings and arrays as one block of bytes, for the disk and for other machines: NumPy's npz, never a pickle."""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["digest_of", "pack", "table_bytes", "table_of", "unpack"]

_HEADER = "header"
# What NumPy and zipfile raise on damaged bytes beside ValueError.
_UNREADABLE = (
    LookupError,
    TypeError,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns a JSON-able header and arrays of any length as bytes.

    Args:
      header: Whole numbers of any size stay exact; floats must be finite.
      arrays: Of plain types.
    """
    document = {"of": dict(header), "sha256": digest_of(header, arrays)}
    text = np.frombuffer(json.dumps(document, allow_nan=False).encode(), np.uint8)
    sink = io.BytesIO()
    assert not any(array.dtype.hasobject for array in arrays.values())
    np.savez(sink, **{_HEADER: text, **arrays})  # type: ignore[arg-type]
    return sink.getvalue()


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns what was packed.

    Raises:
      ValueError: if it is not whole, or not what `pack` made.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        document = json.loads(arrays.pop(_HEADER).tobytes())
        header, told = document["of"], document["sha256"]
    except _UNREADABLE as err:
        raise ValueError(f"is no packed state ({err})") from err
    if told != digest_of(header, arrays):
        raise ValueError("is damaged")
    return header, arrays


def digest_of(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of a header and arrays: equal where both are, whatever the order of their names."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, allow_nan=False).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def table_bytes(table: pa.Table) -> np.ndarray:
    """Returns a table as an Arrow stream, uint8 `[n]`."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def table_of(content: np.ndarray) -> pa.Table:
    """Returns the table again, in one chunk."""
    with pa.ipc.open_stream(pa.py_buffer(content.tobytes())) as opened:
        return opened.read_all().combine_chunks()

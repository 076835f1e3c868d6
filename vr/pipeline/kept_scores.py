"""The scores of a long file's rows, kept segment by segment, so that a run that is killed scores none of them again."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vr.core.errors import VrError
from vr.data.packed import pack, unpack
from vr.data.store.publish import digest_of
from vr.pipeline.run_folder import RunFolder, write_whole

__all__ = ["KeptScores"]

_STATE = "scored.state"


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Says of what cannot be written or read where it is."""
    try:
        yield
    except (OSError, pa.ArrowException) as err:
        # Arrow's own errors have a number, if any, in their text only.
        why = getattr(err, "strerror", None) or str(err)
        raise VrError(
            f"row scores cannot be kept there ({why})", where=str(folder), hint="make room there, or run it again"
        ) from err


class KeptScores:
    """Segments of row scores as parquet files, and what was gathered of all their rows.

    A segment that was not finished, or whose file is damaged, is as good as not begun, and so are those after it: what
    was gathered is of all of them.

    Args:
      run: Whose scores they are.
      key: What they depend on beside the run's identity.
      schema: Of the scores.

    Raises:
      VrError: if the disk is full, or refuses.
    """

    def __init__(self, run: RunFolder, key: str, schema: pa.Schema):
        folder, scratch = run.room("scores", key), run.scratch
        if folder is None or scratch is None:
            raise ValueError("a run without a folder keeps nothing")
        self._folder: Path = folder
        self._scratch: Path = scratch
        self._schema = schema
        self._digests: list[str] = []
        self._writer: pq.ParquetWriter | None = None

    def load(self) -> bytes | None:
        """Returns what was gathered of the rows whose scores are kept; None where there are none."""
        try:
            header, arrays = unpack((self._folder / _STATE).read_bytes())
            digests, content = list(header["segments"]), arrays["gathered"].tobytes()
            found = [digest_of(self._path(i)) for i in range(len(digests))]
        except (OSError, ValueError, KeyError):
            digests, found, content = [], None, b""
        if found != digests:
            self.forget()
            return None
        self._digests = digests
        return content

    def forget(self) -> None:
        """Begins with the first row again."""
        self._digests = []
        with _usable(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Adds scores to the segment that is under way."""
        with _usable(self._folder):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path(len(self._digests)), self._schema, compression="zstd")
            self._writer.write_batch(batch)

    def keep(self, gathered: bytes) -> None:
        """Ends the segment that is under way, and keeps what was gathered of all rows so far."""
        self.close()
        with _usable(self._folder):
            self._digests.append(digest_of(self._path(len(self._digests))))
        content = pack({"segments": self._digests}, {"gathered": np.frombuffer(gathered, np.uint8)})
        write_whole(self._folder / _STATE, content, self._scratch)

    def close(self) -> None:
        """Ends the segment that is under way without keeping it."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with _usable(self._folder):
                writer.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the scores of all rows, in their order.

        Raises:
          VrError: where a segment cannot be read any more; the next run scores all rows again.
        """
        for i in range(len(self._digests)):
            try:
                with pq.ParquetFile(self._path(i)) as file:
                    batches = file.iter_batches()
                    while (batch := next(batches, None)) is not None:
                        yield batch
            except (OSError, pa.ArrowException) as err:
                self.forget()
                where = str(self._path(i))
                raise VrError(f"cannot be read any more ({err})", where=where, hint="run it again") from err

    def _path(self, segment: int) -> Path:
        return self._folder / f"segment-{segment:05}.parquet"

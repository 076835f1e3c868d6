"""A run's row_scores.parquet: bound to the run's datasets and seed, so that no other run's is taken for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vr.core.errors import DataError
from vr.data.formats.reader import reading
from vr.data.store.publish import digest_of
from vr.localization.localize import ROW_SCORES
from vr.pipeline.report import ValidationReport

__all__ = ["SCORES", "RowScores", "bound_schema"]

SCORES = "row_scores.parquet"
_HINT = "it lies beside report.json: keep both together, or validate again"
_COLUMNS = ["row", "confidence", "defect"]


def bound_schema(candidate: str, reference: str | None, seed: int) -> pa.Schema:
    """Returns the schema of a run's row scores, whose metadata says of which run they are.

    Args:
      candidate: Its fingerprint, as in the report.
      reference: The reference's; None without one.
      seed: Of the run.
    """
    return ROW_SCORES.with_metadata(
        {"vr.candidate": candidate, "vr.reference": reference or "", "vr.seed": str(seed)},
    )


@dataclass(frozen=True)
class RowScores:
    """The row scores that belong to a report.

    Attributes:
      path: The file.
      num_rows: Rows that it scores.
      sha256: Of the file, in hexadecimal.
    """

    path: Path
    num_rows: int
    sha256: str

    @classmethod
    def of(cls, path: Path, report: ValidationReport) -> "RowScores":
        """Returns the report's row scores.

        Raises:
          DataError: where the file is missing, damaged or of another run.
        """
        if not path.is_file():
            raise DataError("is missing, and tells which rows to drop", where=str(path), hint=_HINT)
        reference = None if report.reference is None else report.reference.fingerprint
        wanted = bound_schema(report.dataset.fingerprint, reference, report.run.seed).metadata
        with reading(str(path), _HINT), pq.ParquetFile(path) as opened:
            schema, num_rows = opened.schema_arrow, opened.metadata.num_rows
            if num_rows != report.dataset.rows or set(_COLUMNS) - set(schema.names):
                raise _odd(path, f"does not hold the scores of the report's {report.dataset.rows:,} rows")
            for key, value in wanted.items():
                found = (schema.metadata or {}).get(key)
                if found != value:
                    what = f"{key.decode().removeprefix('vr.')} {value.decode() or 'absent'}"
                    told = "nothing" if found is None else found.decode(errors="replace") or "absent"
                    raise _odd(path, f"is not of the report's run: of {what} it says {told}")
            return cls(path, num_rows, digest_of(path))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields row, confidence and defect of each row, in row order.

        Raises:
          DataError: where rows are not numbered from the first to the last.
        """
        start = 0
        with reading(str(self.path), _HINT), pq.ParquetFile(self.path) as opened:
            for batch in opened.iter_batches(columns=_COLUMNS):
                end = start + batch.num_rows
                if not np.array_equal(batch.column("row").to_numpy(zero_copy_only=False), np.arange(start, end)):
                    raise _odd(self.path, f"does not number the report's rows from 0 to {self.num_rows - 1:,} in order")
                start = end
                yield batch


def _odd(path: Path, what: str) -> DataError:
    return DataError(what, where=str(path), hint=_HINT)

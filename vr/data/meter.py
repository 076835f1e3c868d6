"""What reading has decoded so far, held against what was stored: a small file may not become an endless stream."""

from collections.abc import Callable

from vr.core.errors import DataError
from vr.data.config import ReadingConfig

__all__ = ["Meter", "check_batch", "check_columns", "joined_bytes", "shown_bytes"]

_JOINED_BYTES = 64 << 20  # several batches are under way at a time

_FREE_BYTES = 1 << 30  # whatever was stored: most small files that expand a lot are tables of constants


class Meter:
    """Counts the decoded bytes of one pass over one file, and tells of every step.

    Args:
      limits: `expansion` counts.
      stored_bytes: Size of the file.
      where: The file, for the error.
      stepped: Called at each step forward.
    """

    def __init__(self, limits: ReadingConfig, stored_bytes: int, where: str, stepped: Callable[[], None]):
        self._most = max(_FREE_BYTES, limits.expansion * stored_bytes)
        self._stored = stored_bytes
        self._where = where
        self._stepped = stepped
        self._decoded = 0

    def add(self, num_bytes: int) -> None:
        """Counts `num_bytes` more.

        Raises:
          DataError: if that is too much for a file of this size.
        """
        self._decoded += num_bytes
        if self._decoded > self._most:
            raise DataError(
                f"holds over {shown_bytes(self._most)} of data in {shown_bytes(self._stored)}",
                where=self._where,
                hint="it may be made to fill a machine; if you trust it, raise reading.expansion",
            )
        self._stepped()


def check_batch(rows: int, num_bytes: int, limits: ReadingConfig, where: str) -> None:
    """Raises a `DataError` if a batch of `rows` holds too many bytes."""
    if num_bytes > limits.batch_bytes:
        raise DataError(
            f"takes {shown_bytes(num_bytes)} for {rows:,} rows at a time, over {shown_bytes(limits.batch_bytes)}",
            where=where,
            hint="lower data.batch_rows and reference.batch_rows, or raise reading.batch_bytes",
        )


def joined_bytes(limits: ReadingConfig) -> int:
    """Returns the bytes up to which rows are put together: a batch may turn out larger by what one row takes."""
    return min(limits.batch_bytes // 4, _JOINED_BYTES)


def check_columns(count: int, limits: ReadingConfig, where: str) -> None:
    """Raises a `DataError` if a table has too many columns."""
    if count > limits.columns:
        raise DataError(
            f"has {count:,} columns, over {limits.columns:,}",
            where=where,
            hint="name rows and columns the right way round, or raise reading.columns",
        )


def shown_bytes(count: float) -> str:
    """Returns a number of bytes as messages show it."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"

"""Cutting a dataset into partitions: runs of rows that are read and profiled by themselves and merged to the whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Part", "Partition", "plan", "rows_at_most"]

_CELLS = 1 << 26  # of one partition: half a second to a minute of one core, whatever the number of columns
_LEAST_ROWS = 1 << 16


@dataclass(frozen=True)
class Part:
    """Rows of one file that a partition reads.

    Attributes:
      file: The file's place in its source.
      groups: First row group and the one after the last; None for the whole file.
      rows: How many rows that are, None where only a pass would tell.
    """

    file: int
    groups: tuple[int, int] | None
    rows: int | None


@dataclass(frozen=True)
class Partition:
    """Consecutive rows of a dataset: whole files, or row groups of one.

    Attributes:
      parts: In row order.
      row_start: Number of the first row in the dataset.
    """

    parts: tuple[Part, ...]
    row_start: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(part.rows or 0 for part in self.parts)


def rows_at_most(asked: int, num_columns: int) -> int:
    """Returns the rows of a partition: as asked, or, where that is 0, so that it has a bearable number of cells."""
    return asked or max(_LEAST_ROWS, _CELLS // max(1, num_columns))


def plan(
    files: Sequence[Sequence[int]],
    most_rows: int,
    kept: Callable[[int, int], int] = lambda file, row_start: file,
) -> list[Partition]:
    """Returns partitions of a dataset, in row order.

    Small files are put together and large ones cut between row groups; files without rows are in none. A file that is
    appended changes at most the last partition, and not that either where `kept` knows it as it was.

    Args:
      files: Rows of each row group of each file; a single group cannot be cut.
      most_rows: Rows of a partition; one has more only where a row group, or a file that cannot be cut, does.
      kept: Of the file and the row that a partition would begin with: before which file it ended in an earlier plan,
        whole files alone in it, if what came of it is kept; else the same file.
    """
    partitions: list[Partition] = []
    waiting: list[Part] = []
    row_start = place = held = 0  # held: rows of what waits

    def close(parts: list[Part]) -> None:
        nonlocal row_start, held
        if parts:
            partitions.append(Partition(tuple(parts), row_start))
            row_start += partitions[-1].rows
            waiting.clear()
            held = 0

    while place < len(files):
        if not waiting and (stop := kept(place, row_start)) > place:
            close([_whole(files, each) for each in range(place, stop) if sum(files[each])])
            place = stop
            continue
        if not sum(files[place]):
            place += 1
            continue
        rows = sum(files[place])
        if held and held + rows > most_rows:
            close(waiting)
            continue
        if rows > most_rows and len(files[place]) > 1:
            for part in _cut(place, files[place], most_rows):
                close([part])
        else:
            waiting.append(_whole(files, place))
            held += rows
            # A long run of files ends here rather than with the first rows of the next one.
            if 2 * held >= most_rows:
                close(waiting)
        place += 1
    close(waiting)
    return partitions


def _whole(files: Sequence[Sequence[int]], place: int) -> Part:
    return Part(place, None, sum(files[place]))


def _cut(place: int, groups: Sequence[int], most_rows: int) -> Iterator[Part]:
    """Yields a file's row groups in parts of about equal length."""
    share = sum(groups) / -(-sum(groups) // most_rows)
    first = rows = 0
    for stop, more in enumerate([*groups[1:], None], 1):
        rows += groups[stop - 1]
        if more is None or rows >= share or rows + more > most_rows:
            if rows:
                yield Part(place, (first, stop), rows)
            first, rows = stop, 0

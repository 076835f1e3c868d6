"""One pass over a dataset: cut into partitions, what is known taken as it is, the rest done, everything merged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vr.data.engine import Engine, LocalEngine
from vr.data.kept import KeptStates
from vr.data.partition import Partition, plan, rows_at_most
from vr.data.profile import Pool
from vr.data.source import Source
from vr.data.work import State, Work

__all__ = ["Known", "Passes"]


@dataclass(frozen=True)
class Known:
    """What of a dataset needs no reading, as it was done before.

    Attributes:
      rows: How many rows.
      num_rows: Of how many.
      files: How many files.
      num_files: Of how many.
      next_row: The first row that is to be read, None where there is none.
      next_file: The file that it is in.
    """

    rows: int
    num_rows: int
    files: int
    num_files: int
    next_row: int | None
    next_file: str | None


@dataclass(frozen=True)
class Passes:
    """How passes are made.

    Attributes:
      engine: Where.
      partition_rows: Rows of a partition, 0 for a number that goes by the columns.
      folder: Where partitions' states are kept, None where they are not.
      keeps_whole: Whether a dataset that is one partition has its state kept, too: of use to later runs, and hardly to
        this one.
    """

    engine: Engine = field(default_factory=lambda: LocalEngine(1))
    partition_rows: int = 0
    folder: Path | None = None
    keeps_whole: bool = True

    def run(
        self,
        source: Source,
        work: Work[State],
        batch_rows: int,
        on_rows: Callable[[int], None],
        on_known: Callable[[Known], None] = lambda known: None,
    ) -> State:
        """Returns the state of a whole dataset: the same wherever, and in however many parts, it came about.

        Args:
          source: The dataset.
          work: What to do.
          batch_rows: Rows decoded at a time.
          on_rows: Told how many rows are done.
          on_known: Told before reading, where something was done before.

        Raises:
          DataError: if the dataset cannot be read.
          VrError: if the engine fails, or the folder cannot be written to.
        """
        groups = source.group_rows
        if groups is None:  # only a pass would tell where its parts begin
            return work.run(source.batches(work.columns, batch_rows), 0, _threads(self.engine), on_rows)
        most_rows = rows_at_most(self.partition_rows, len(work.columns))
        is_cut = sum(map(sum, groups)) > most_rows
        kept = KeptStates(self.folder if is_cut or self.keeps_whole else None, source, work)
        partitions = plan(groups, most_rows, kept.run_from)
        merge: Any = work.merge
        pool: Pool[Any] = Pool(merge)
        missing, done = [], 0
        for partition in partitions:
            state = kept.load(partition, work)
            if state is None:
                missing.append(partition)
            else:
                pool.add(state)
                done += partition.rows
        if done:
            on_known(_known(source, partitions, missing, done))
            on_rows(done)

        def more(rows: int) -> None:
            nonlocal done
            done += rows
            on_rows(done)

        for partition, state in self.engine.run(source, work, missing, batch_rows, more):
            kept.save(partition, lambda state=state: work.pack(state))
            pool.add(state)
        whole = pool.whole()
        if work.is_complete(whole):
            return whole
        # States of an earlier, longer dataset may have left out what this shorter one needs.
        return Passes(self.engine, self.partition_rows).run(source, work.unbounded(), batch_rows, on_rows)


def _threads(engine: Engine) -> int:
    return engine.threads if isinstance(engine, LocalEngine) else 1


def _known(source: Source, partitions: list[Partition], missing: list[Partition], done: int) -> Known:
    unread = {part.file for partition in missing for part in partition.parts}
    read = {part.file for partition in partitions for part in partition.parts} - unread
    first = missing[0] if missing else None
    return Known(
        rows=done,
        num_rows=sum(partition.rows for partition in partitions),
        files=len(read),
        num_files=len(read | unread),
        next_row=None if first is None else first.row_start,
        next_file=None if first is None else source.files[first.parts[0].file][0],
    )

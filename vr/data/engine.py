"""Where a pass over a dataset runs: in this process, or on the workers of a Ray cluster (`vr.data.ray_engine`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vr.data.partition import Partition
from vr.data.source import Source
from vr.data.work import State, Work

__all__ = ["Engine", "LocalEngine"]


class Engine(Protocol):
    """Does a work on partitions, in whichever order."""

    def run(
        self,
        source: Source,
        work: Work[State],
        partitions: Sequence[Partition],
        batch_rows: int,
        on_rows: Callable[[int], None],
    ) -> Iterator[tuple[Partition, State]]:
        """Yields each partition with its state as it is done; `on_rows` is told of rows that are done beside it.

        Closing the iterator gives up what is under way.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """One partition after the other, its batches in threads.

    Attributes:
      threads: Batches worked on at a time.
    """

    threads: int

    def run(
        self,
        source: Source,
        work: Work[State],
        partitions: Sequence[Partition],
        batch_rows: int,
        on_rows: Callable[[int], None],
    ) -> Iterator[tuple[Partition, State]]:
        """See `Engine`."""
        for partition in partitions:
            batches = source.batches(work.columns, batch_rows, partition)
            told = 0

            def tell(done: int) -> None:
                nonlocal told
                on_rows(done - told)
                told = done

            yield partition, work.run(batches, partition.row_start, self.threads, tell)

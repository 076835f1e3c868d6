"""Progress on stderr: bars where it is a terminal, else a plain line every ten seconds."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from vr.core.printable import printable
from vr.pipeline.progress import Event, ProgressCallback

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["PlainProgress", "show_progress"]

# Seconds between two plain lines of one stage: a log of a long run stays short.
_INTERVAL_S = 10.0


class PlainProgress:
    """Writes a line when a stage begins and then at most every ten seconds.

    Args:
      stream: Where lines go.
      clock: Seconds that only grow.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._stream = stream
        self._clock = clock
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Takes one event."""
        with self._lock:
            now = self._clock()
            if not event.is_notice:
                if now - self._last.get(event.stage, float("-inf")) < _INTERVAL_S:
                    return
                self._last[event.stage] = now
            # A reader of stderr who has gone away is no reason to stop.
            with contextlib.suppress(BrokenPipeError):
                self._stream.write(_line(event) + "\n")
                self._stream.flush()


class _Bars:
    """One bar for each stage, in the order in which stages first speak."""

    def __init__(self, progress: "Progress"):
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.is_notice:
            # Above the bars, where it stays.
            self._progress.console.print(printable(event.message), markup=False, highlight=False)
            return
        if event.stage not in self._tasks:
            for task in self._tasks.values():
                self._complete(task)
            self._tasks[event.stage] = self._progress.add_task(event.stage, total=event.total, message="")
            if event.stage == "prescreen":
                # An answer, not a step: it stays when the bars go.
                self._progress.console.print(_line(event), markup=False, highlight=False, soft_wrap=True)
        self._progress.update(
            self._tasks[event.stage], completed=event.done, total=event.total, message=printable(event.message.strip())
        )

    def _complete(self, task: "TaskID") -> None:
        # A stage of unknown length would pulse on for ever once the next one speaks.
        done = next(item.completed for item in self._progress.tasks if item.id == task)
        total = next(item.total for item in self._progress.tasks if item.id == task)
        self._progress.update(task, total=total or max(done, 1), completed=total or max(done, 1), message="")


@contextlib.contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[ProgressCallback | None]:
    """Gives a callback that shows events on stderr while the block runs, None where `quiet`."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield PlainProgress(sys.stderr)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[message]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield _Bars(progress)


def _line(event: Event) -> str:
    share = f" {event.done / event.total:4.0%}" if event.total else ""
    return printable(f"{event.stage:<10}{share} {' '.join(event.message.split())}".rstrip())

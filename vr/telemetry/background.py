"""Runs a tracker on a thread of its own, so that one that hangs or fails never stops a run."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vr.core.plain import to_plain
from vr.pipeline.config import Config
from vr.pipeline.progress import Event
from vr.pipeline.report import ValidationReport
from vr.telemetry.tracker import NoTracker, Tracker, build

__all__ = ["BackgroundTracker", "tracking"]

_LOG = logging.getLogger(__name__)
# Events that wait for a slow tracker; later ones are dropped, since the report holds every number anyway.
_QUEUE_LENGTH = 1_000


class BackgroundTracker:
    """A tracker behind a bounded queue and a daemon thread.

    `start` and `finish` wait at most `timeout_s`, `log` never. The first failure or time-out is logged as one warning,
    and the tracker is left alone from then on; how many events did not reach it is said at the end.

    Args:
      tracker: The tracker to run.
      timeout_s: Longest wait at the start and at the end, in seconds.
      queue_length: Events kept for a slow tracker.
    """

    def __init__(self, tracker: Tracker, *, timeout_s: float, queue_length: int = _QUEUE_LENGTH):
        self._tracker = tracker
        self._timeout_s = timeout_s
        self._calls: queue.Queue[tuple[Callable[[], None], threading.Event] | None] = queue.Queue(queue_length)
        self._abandoned = threading.Event()
        self._num_told = self._num_logged = 0
        self._pending: Callable[[], None] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="vr-tracker", daemon=True)
        self._thread.start()

    @property
    def abandoned(self) -> bool:
        """Whether the tracker failed or hung and is no longer told anything."""
        return self._abandoned.is_set()

    def start(self, configuration: dict[str, Any], folder: Path) -> None:
        """Starts the tracker, waiting at most `timeout_s`."""
        self._wait("start", lambda: self._tracker.start(configuration, folder))

    def start_at_first_event(self, configuration: dict[str, Any], folder: Path) -> None:
        """Puts the start off until there is something to log; a run that does nothing is not tracked."""
        self._pending = lambda: self.start(configuration, folder)

    def log(self, event: Event) -> None:
        """Hands one event over without waiting, but for a start that was put off; dropped where the queue is full."""
        with self._starting:
            pending, self._pending = self._pending, None
            if pending is not None:
                pending()
            self._num_told += 1
        if self.abandoned:
            return
        with suppress(queue.Full):
            self._calls.put_nowait((lambda: self._log(event), threading.Event()))

    def finish(self, report: ValidationReport | None, folder: Path | None) -> None:
        """Ends the tracked run, if one was started, waiting at most `timeout_s` for what is still queued."""
        if self._pending is None:
            self._wait("finish", lambda: self._tracker.finish(report, folder))
        if lost := self._num_told - self._num_logged:
            _LOG.warning(
                "%d of %d events did not reach the tracker; the report has their numbers", lost, self._num_told
            )
        with suppress(queue.Full):
            self._calls.put_nowait(None)

    def _log(self, event: Event) -> None:
        self._tracker.log(event)
        self._num_logged += 1

    def _wait(self, name: str, call: Callable[[], None]) -> None:
        if self.abandoned:
            return
        done = threading.Event()
        try:
            self._calls.put((call, done), timeout=self._timeout_s)
            finished = done.wait(self._timeout_s)
        except queue.Full:
            finished = False
        if not finished and not self.abandoned:
            self._abandoned.set()
            _LOG.warning("the tracker did not %s within %g s and is left alone", name, self._timeout_s)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            call, done = item
            try:
                if not self.abandoned:
                    call()
            except Exception as error:  # noqa: BLE001 - a tracker may raise anything, and none of it may stop a run
                self._abandoned.set()
                _LOG.warning("the tracker failed and is left alone: %s: %s", type(error).__name__, _line(error))
            finally:
                done.set()


@contextmanager
def tracking(config: Config, folder: Path) -> Iterator[Tracker]:
    """Gives the configured tracker, which starts at the first event; a run that raises ends it without a report."""
    tracker = build(config.tracking)
    if not isinstance(tracker, NoTracker):
        tracker = BackgroundTracker(tracker, timeout_s=config.tracking.timeout_s)
        tracker.start_at_first_event(to_plain(config), folder)
    try:
        yield tracker
    except BaseException:
        tracker.finish(None, None)
        raise


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

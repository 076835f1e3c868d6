"""One validation as a server sees it: how far it is, what it tells, and who waits for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from vr.pipeline.extent import Extent
from vr.server.failures import Failure
from vr.server.tenants import Tenant

__all__ = ["ABANDONED", "ENDED", "Validation"]

_EVENTS_KEPT = 512  # of each validation, for those who attach again
ENDED = ("finished", "failed", "cancelled")
# Left as it is by a call that expired or went away, or for want of something that may come back: whoever asks for it
# again goes on with it, and nobody else does.
ABANDONED = "abandoned"


@dataclass(eq=False)
class Validation:
    """One validation as this server sees it: of one extent, of which an id may have both.

    Attributes:
      extent: What is computed.
      state: `queued`, `running`, `finished`, `failed`, `cancelled` or `abandoned`.
      failure: Why it failed or was cancelled.
      events: Progress with its number; the oldest are forgotten.
      watchers: Calls that wait for it.
      stop: What to end it with, where somebody asked for that.
      abandoned: Whether it may go on for whoever asks again.
      owned: Whether this server computes it, as far as is known; else another one does.
      mark: Of a finished one, what tells its answer from another.
      entered: Set when the store has it, and when it is known who computes it.
    """

    tenant: Tenant
    id: str
    job: dict[str, Any]
    extent: Extent = Extent.whole
    state: str = "queued"
    failure: Failure | None = None
    events: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    sequence: int = 0
    watchers: int = 0
    stop: Failure | None = None
    abandoned: bool = False
    owned: bool = False
    mark: str | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[str, str]:
        """Where the store has it."""
        return self.tenant.name, self.id

    @property
    def key(self) -> tuple[str, str, Extent]:
        """What it is known by."""
        return self.tenant.name, self.id, self.extent

    @property
    def is_begun(self) -> bool:
        """Whether somebody computes it, did so, or tried to; else it was not asked for yet."""
        return self.task is not None or self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come any more."""
        return self.state in ENDED or self.failure is not None

    def tell(self, progress: dict[str, Any] | None = None) -> None:
        """Wakes whoever watches, with progress where there is some."""
        if progress is not None:
            self.sequence += 1
            self.events.append((self.sequence, progress | {"state": self.state}))
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def progress(self, after: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Yields progress after an event's number until the validation ends; who is slow misses some of it."""
        while True:
            changed = self._changed
            for number, event in [each for each in self.events if each[0] > after]:
                after = number
                yield number, event
            if self.has_ended and (not self.events or self.events[-1][0] <= after):
                return
            if changed is self._changed:
                await changed.wait()

    async def ended(self) -> None:
        """Returns when the validation has finished.

        Raises:
          Failure: as it failed.
        """
        while not self.has_ended:
            await self._changed.wait()
        if self.failure is not None:
            raise self.failure

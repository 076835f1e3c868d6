"""Keeping a tier's training on its way: in checkpoints, every so many seconds."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vr.cascade.training import Kept

if TYPE_CHECKING:
    from vr.cascade.checkpoint import Checkpoints

__all__ = ["TimedKeeper", "kept_in"]


class TimedKeeper:
    """A `Keeper` that writes checkpoints, numbered by the segments that are done over all jobs.

    Args:
      checkpoints: Where they are.
      seconds: Between two of them.
    """

    def __init__(self, checkpoints: "Checkpoints", seconds: float):
        self._checkpoints, self._seconds = checkpoints, seconds
        self._last, self._step = time.monotonic(), -1

    def restore(self, like: Kept) -> Kept | None:
        """Returns the newest state that verifies."""
        found = self._checkpoints.latest(like)
        if found is None:
            return None
        self._step = found.step
        return found.state

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return time.monotonic() - self._last >= self._seconds

    def keep(self, kept: Kept) -> None:
        """Saves in the background; where no segment has been added to the last state there is nothing to save."""
        step = int(kept.segments.sum())
        if step > self._step:
            self._checkpoints.save(step, kept)
            self._step = step
        self._last = time.monotonic()


@contextmanager
def kept_in(folder: Path | None, identity: str, seconds: float) -> Iterator[TimedKeeper | None]:
    """Opens a keeper in `folder`, None without one; where the block ends well, what it kept is removed.

    Raises:
      CheckpointError: where the last save failed.
    """
    if folder is None:
        yield None
        return
    from vr.cascade.checkpoint import Checkpoints

    with Checkpoints(folder, identity) as checkpoints:
        yield TimedKeeper(checkpoints, seconds)
    shutil.rmtree(folder, ignore_errors=True)

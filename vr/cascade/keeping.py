"""Keeping a tier's training on its way: in checkpoints, every so many seconds.

Of several processes the first alone has the folder and the clock. Every process calls the same methods in the same
order, learns what came of it, and raises what process 0 raises.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from vr.cascade.agreement import by_first, sent, told_by_first
from vr.cascade.training import Kept

if TYPE_CHECKING:
    from vr.cascade.checkpoint import Checkpoints

__all__ = ["TimedKeeper", "kept_in"]


class TimedKeeper:
    """A `Keeper` that writes checkpoints, numbered by the segments that are done over all jobs.

    Args:
      checkpoints: Where they are; None in a process that is not the first.
      seconds: Between two of them.
    """

    def __init__(self, checkpoints: "Checkpoints | None", seconds: float):
        self._checkpoints, self._seconds = checkpoints, seconds
        self._last, self._step = time.monotonic(), -1

    def restore(self, like: Kept) -> Kept | None:
        """Returns the newest state that verifies, whole on every process."""
        found = by_first(lambda: self._opened.latest(like))
        if not told_by_first(lambda: found is not None):
            return None
        kept = jax.tree.map(sent, like if found is None else found.state)
        self._step = int(kept.segments.sum())
        return kept

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return told_by_first(lambda: time.monotonic() - self._last >= self._seconds)

    def keep(self, kept: Kept) -> None:
        """Saves in the background; where no segment has been added to the last state there is nothing to save."""
        step = int(kept.segments.sum())
        if step > self._step:
            by_first(lambda: self._opened.save(step, kept))
            self._step = step
        self._last = time.monotonic()

    def settle(self) -> None:
        """Waits until the last state is on the disk and listed.

        Raises:
          CheckpointError: where that failed.
        """
        by_first(lambda: self._opened.wait())

    @property
    def _opened(self) -> "Checkpoints":
        assert self._checkpoints is not None
        return self._checkpoints


@contextmanager
def kept_in(folder: Path | None, identity: str, seconds: float) -> Iterator[TimedKeeper | None]:
    """Opens a keeper in `folder`, None without one; where the block ends well, what it kept is removed.

    Raises:
      CheckpointError: where the last save failed.
    """
    if not told_by_first(lambda: folder is not None):
        yield None
        return
    checkpoints = by_first(lambda: _opened(folder, identity))
    try:
        yield TimedKeeper(checkpoints, seconds)
    except BaseException as error:
        # Without the others, who may not be there any more.
        if checkpoints is not None:
            checkpoints.__exit__(type(error), error, error.__traceback__)
        raise
    by_first(lambda: _remove(checkpoints, folder))


def _opened(folder: Path | None, identity: str) -> "Checkpoints":
    from vr.cascade.checkpoint import Checkpoints

    assert folder is not None
    return Checkpoints(folder, identity)


def _remove(checkpoints: "Checkpoints | None", folder: Path | None) -> None:
    if checkpoints is not None and folder is not None:
        checkpoints.close()
        shutil.rmtree(folder, ignore_errors=True)

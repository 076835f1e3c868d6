"""Checkpoints of a training run: written behind its back with Orbax, restored only where every byte is as written.

Of several processes the first alone reads and writes them: the state has to be whole there.

Orbax has no digests: it restores what a flipped bit made of an array without a word, and takes an empty folder for the
newest step. So the steps it writes are sealed, listed and verified by `checkpoint_folder`.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from vr.cascade.checkpoint_folder import CheckpointFolder, SetAside
from vr.core.errors import CheckpointError, ConfigError, VrError

__all__ = ["Checkpoints", "Restored", "SetAside"]

_ARRAYS = "arrays"
_LONGEST_REASON = 300  # characters of another library's message
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """The newest checkpoint that verifies.

    Attributes:
      step: The step it was saved at.
      state: What was saved, in the structure and with the shardings that were asked for.
      extra: What was saved beside it, as JSON reads it: tuples come back as lists.
      set_aside: Steps found not to verify since the folder was opened, with the reasons.
    """

    step: int
    state: Any
    extra: dict[str, Any]
    set_aside: tuple[SetAside, ...]


class Checkpoints:
    """The checkpoints of one run, which one process writes; close it, or the last error goes unheard.

    Args:
      folder: Where they are, one subfolder for each step; made where it is missing.
      identity: Digest of what the run depends on; a folder belongs to one identity.
      keep: How many of the newest steps that verify are kept, 1 or more.

    Raises:
      ConfigError: if `keep` is out of range, this is one of several processes and not the first, or the folder cannot
        be used or holds checkpoints of another identity.
      CheckpointError: if the folder holds checkpoints of an unknown format.
    """

    def __init__(self, folder: Path, identity: str, keep: int = 2):
        if keep < 1:
            raise ConfigError(f"is {keep}, where 1 or more is needed", where="keep")
        if jax.process_index() > 0:
            raise ConfigError(f"this is process {jax.process_index()}, and checkpoints are written by process 0 only")
        # Orbax takes absolute paths only.
        self._folder = CheckpointFolder(folder.absolute(), identity)
        self._keep = keep
        logging.getLogger("absl").addFilter(_is_no_echo)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="vr-checkpoint")
        self._pending: Future[None] | None = None

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Steps found not to verify since the folder was opened, with the reasons."""
        return tuple(self._folder.set_aside)

    def save(self, step: int, state: Any, extra: Mapping[str, Any] | None = None) -> None:
        """Copies a state to the host and returns; it is written, sealed and listed in the background.

        The caller may donate or overwrite the state at once. Waits for an earlier save that is still being written.

        Args:
          step: Number of the step, above all that are in the folder.
          state: Any pytree of jax or numpy arrays, typed keys among them.
          extra: JSON values that belong to the step, such as a position in the data.

        Raises:
          CheckpointError: if an earlier save failed (this one is not begun then), the step is not above all others, or
            the state or `extra` cannot be saved.
        """
        self.wait()
        step = int(step)
        content = {"extra": _checked(extra or {}), "arrays": _described(state)}
        leaves = {_name(number): leaf for number, leaf in enumerate(jax.tree.leaves(state)) if leaf.size}
        with self._explained(f"step {step} cannot be saved"):
            present = self._folder.steps()
            if step < 0 or (present and step <= present[0]):
                above = f"above step {present[0]}" if present else "0 or more"
                raise CheckpointError(
                    f"step {step} cannot be saved: it is not {above}",
                    where=str(self._folder.path),
                    hint="restore the latest checkpoint and go on from there, or give another folder",
                )
            growing = self._folder.begin(step)
            with self._abandoned(growing):
                writer = _writer()
                if leaves:
                    writer.save(growing / _ARRAYS, args=ocp.args.PyTreeSave(leaves))
        self._pending = self._worker.submit(self._finish, writer, growing, step, content)

    def latest(self, like: Any) -> Restored | None:
        """Returns the newest checkpoint that verifies, or None; newer ones that do not are set aside, with a warning.

        Args:
          like: A pytree of what is to come back: jax arrays or `jax.ShapeDtypeStruct`, which come back with the
            sharding they carry, and on the first device where they carry none, or numpy arrays, which come back as
            such. Values are not looked at.

        Raises:
          CheckpointError: if an earlier save failed, the checkpoint holds other arrays than `like`, or Orbax cannot
            read what verifies.
        """
        self.wait()
        with self._explained("cannot be read"):
            found = self._folder.newest()
        if found is None:
            return None
        with self._explained(f"step {found.step} cannot be restored"):
            asked = _described(like)
            _refuse_difference(found.content["arrays"], asked, found.path)
            state = _read(found.path / _ARRAYS, like)
            # Without jax_enable_x64 jax makes 32 bits of 64 and does not say so.
            _refuse_difference(_described(state), asked, found.path)
        return Restored(found.step, state, dict(found.content["extra"]), self.set_aside)

    def wait(self) -> None:
        """Waits until the last save is listed and old steps are removed.

        Raises:
          CheckpointError: if that save failed; raised once. Earlier checkpoints are as they were.
        """
        if self._pending is not None:
            try:
                self._pending.result()
            finally:
                if self._pending.done():
                    self._pending = None

    def close(self) -> None:
        """Waits as `wait` does, and stops the threads whatever happened."""
        try:
            self.wait()
        finally:
            self._worker.shutdown()
            logging.getLogger("absl").removeFilter(_is_no_echo)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except VrError as err:
            if kind is None:
                raise
            # What ended the block is the news.
            _LOG.warning("%s", err)

    def _finish(self, writer: ocp.AsyncCheckpointer, growing: Path, step: int, content: Mapping[str, Any]) -> None:
        with self._explained(f"step {step} cannot be saved"), self._abandoned(growing):
            writer.close()
            self._folder.commit(growing, step, content)
        with self._explained(f"step {step} is saved, but older ones cannot be removed"):
            self._folder.prune(step, self._keep)

    @contextmanager
    def _abandoned(self, growing: Path) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._folder.abandon(growing)
            raise

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Says of any error what could not be done and where; Orbax raises all kinds, a bare Exception among them."""
        try:
            yield
        except VrError:
            raise
        except Exception as err:
            why, hint = _why(err), "earlier checkpoints are as they were"
            if _is_disk_full(err):
                why, hint = os.strerror(errno.ENOSPC), f"make room there, or give another folder; {hint}"
            raise CheckpointError(f"{what} ({why})", where=str(self._folder.path), hint=hint) from err


def _name(number: int) -> str:
    return f"{number:05d}"


def _checked(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of `extra` as JSON reads it."""
    try:
        return json.loads(json.dumps(dict(extra), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as err:
        raise CheckpointError(f"cannot be saved as JSON ({err})", where="extra") from err


def _described(state: Any) -> list[dict[str, Any]]:
    """Returns path, shape and dtype of every array of a pytree."""
    described = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
            raise CheckpointError(
                f"is of type {type(leaf).__name__}, not an array", where=f"state{name}", hint="put it into extra"
            )
        described.append({"path": name, "shape": list(leaf.shape), "dtype": str(leaf.dtype)})
    return described


def _refuse_difference(held: list[dict[str, Any]], asked: list[dict[str, Any]], path: Path) -> None:
    for ours, theirs in zip([*held, *[None] * len(asked)], [*asked, *[None] * len(held)], strict=True):
        if ours != theirs:
            raise CheckpointError(
                f"holds {_text(ours)} where {_text(theirs)} is asked for",
                where=str(path),
                hint="resume with the model and optimiser that it was saved with, or give another folder",
            )


def _text(array: Mapping[str, Any] | None) -> str:
    return "nothing" if array is None else f"state{array['path']} {array['dtype']}{array['shape']}"


def _writer() -> ocp.AsyncCheckpointer:
    # One for each save: one that has failed may raise the same error again at whatever it is asked for next.
    # No compression: 50 MB of normal noise shrink by 8 %, and take 1.8 times as long to write and 2.8 times to read.
    # No folders made on the side: nothing is gained on a disk, and their errors arrive late.
    # No OCDBT: TensorStore never frees what it says of one, some kilobytes with every save.
    alone = _alone()
    return ocp.AsyncCheckpointer(
        ocp.PyTreeCheckpointHandler(use_compression=False, use_ocdbt=False, multiprocessing_options=alone),
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        multiprocessing_options=alone,
    )


def _alone() -> MultiprocessingOptions:
    """Keeps Orbax from waiting for other processes, which do not call it."""
    several = jax.process_count() > 1
    return MultiprocessingOptions(
        active_processes={0} if several else None, barrier_sync_key_prefix="vr" if several else None
    )


def _read(arrays: Path, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    wanted = {_name(number): _restore_args(leaf) for number, leaf in enumerate(leaves) if leaf.size}
    read = {}
    if wanted:
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=_alone())
        with ocp.Checkpointer(handler, multiprocessing_options=_alone()) as reader:
            read = reader.restore(arrays, args=ocp.args.PyTreeRestore(restore_args=wanted))
    # Orbax stores no array without elements.
    return structure.unflatten(read[_name(number)] if leaf.size else _empty(leaf) for number, leaf in enumerate(leaves))


def _restore_args(leaf: Any) -> ocp.RestoreArgs:
    if isinstance(leaf, np.ndarray):
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(sharding=_sharding(leaf))


def _sharding(leaf: Any) -> jax.sharding.Sharding:
    return leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _empty(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return np.zeros(leaf.shape, leaf.dtype)
    return jnp.zeros(leaf.shape, leaf.dtype, device=_sharding(leaf))


def _is_no_echo(record: logging.LogRecord) -> bool:
    # Orbax logs a traceback for everything it raises in a thread of its own, several for one; to raise it is enough.
    # And it warns with every save that there is no OCDBT to merge, which it was told not to write.
    return not ("orbax" in record.pathname and (record.exc_info or "merge of OCDBT" in str(record.msg)))


def _chain(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        err = err.__cause__ or err.__context__


def _is_disk_full(err: BaseException) -> bool:
    # TensorStore's errors have a number, if any, in their text only.
    return any(
        getattr(link, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(link)
        for link in _chain(err)
    )


def _why(err: Exception) -> str:
    text = (isinstance(err, OSError) and err.strerror) or str(err) or type(err).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."

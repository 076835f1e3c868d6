"""Validations on disk, by tenant and id: what was asked, how far it is, and the report. Replicas may share it.

<store>/<tenant>/<id>/job.json      what was asked
                      state.json    how far it is; carries its own digest and the report's
                      cancel        there where somebody asked another server to cancel it
                      lock          held by the server that works on it, and let go by the system if that dies
                      report/       the pipeline's output folder, with which an interrupted run resumes

Of a validation that only the verdict was asked of, the last four are `verdict.json`, `verdict.cancel`, `verdict.lock`
and `verdict/`, and once the whole is asked of it too it has both. A state is there from when an extent is asked for;
where there is none of either, as earlier versions left it, the whole was.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vr.core.files import sync_folder, write_synced
from vr.pipeline.extent import Extent
from vr.server.failures import Failure

__all__ = ["DAMAGED", "RunStore", "new_id"]

_ID = re.compile(r"v[0-9a-f]{32}")
_JOB = "job.json"


class _Names(NamedTuple):
    state: str
    lock: str
    output: str
    cancel: str


_NAMES = {
    Extent.verdict: _Names("verdict.json", "verdict.lock", "verdict", "verdict.cancel"),
    Extent.whole: _Names("state.json", "lock", "report", "cancel"),
}
DAMAGED = "damaged"  # a state that is not what was written
_AT_REST = ("finished", "failed", "cancelled", "abandoned", DAMAGED)
_QUEUED = {"state": "queued"}


def new_id(tenant: str, key: str | None) -> str:
    """Returns the id of a validation: drawn, or, with an idempotency key, the same one for the same key."""
    digest = os.urandom(16).hex() if key is None else hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()[:32]
    return f"v{digest}"


class RunStore:
    """The store; all methods are short and block. Unless told otherwise they speak of the whole validation.

    Args:
      root: Its folder.
    """

    def __init__(self, root: Path):
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        """Raises OSError where nothing can be written."""
        # Process numbers are the same in many containers.
        probe = self._root / f".probe.{os.urandom(8).hex()}"
        try:
            probe.write_bytes(b"")
        finally:
            probe.unlink(missing_ok=True)

    def create(self, tenant: str, id: str, job: dict[str, Any], extent: Extent = Extent.whole) -> bool:
        """Keeps what was asked and how much of it; returns False where the same job was asked before.

        Raises:
          Failure: if something else was asked under this id.
        """
        folder = self._folder(tenant, id)
        content = _sealed(job)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _JOB
        asks = False
        if (known := _opened(path)) is None:
            # Before the job: where the server dies in between, nobody computes more than was asked for.
            asks = self._ask(folder, extent)
            known = None if _linked(path, content) else _opened(path)
        if known not in (None, job):
            if asks:
                # Of the other's job nobody asked that much.
                (folder / _NAMES[extent].state).unlink(missing_ok=True)
            raise Failure("KEY_REUSED", metadata={"validation_id": id})
        if known is not None:
            self._ask(folder, extent)
        sync_folder(folder)
        return known is None

    def job(self, tenant: str, id: str) -> dict[str, Any] | None:
        """Returns what was asked, None where there is no such validation."""
        return _opened(self._folder(tenant, id) / _JOB) if _ID.fullmatch(id) else None

    def states(self, tenant: str, id: str) -> dict[Extent, dict[str, Any]]:
        """Returns how far a validation is in every extent that was asked for, see `state`; `DAMAGED` hides no other."""
        found = {}
        for extent, names in _NAMES.items():
            try:
                state = _opened(self._folder(tenant, id) / names.state)
            except Failure:
                state = {"state": DAMAGED}
            if state is not None:
                found[extent] = state
        return found or {Extent.whole: dict(_QUEUED)}

    def state(self, tenant: str, id: str, extent: Extent = Extent.whole) -> dict[str, Any]:
        """Returns how far a validation is: `state` and, of a failed one, `failure`."""
        return _opened(self._folder(tenant, id) / _NAMES[extent].state) or dict(_QUEUED)

    def keep(self, tenant: str, id: str, state: dict[str, Any], extent: Extent = Extent.whole) -> None:
        """Keeps how far a validation is; of a finished one with the digest of its report."""
        folder, name = self._folder(tenant, id), _NAMES[extent].state
        if state["state"] == "finished":
            state = state | {"sha256": _digest((self.output(tenant, id, extent) / "report.json").read_bytes())}
        draft = folder / f".{name}.{os.urandom(8).hex()}"
        write_synced(draft, _sealed(state | {"at": time.time()}))
        os.replace(draft, folder / name)
        sync_folder(folder)

    def report(self, tenant: str, id: str, extent: Extent = Extent.whole) -> dict[str, Any]:
        """Returns the report of a finished validation.

        Raises:
          Failure: if it is not what was written, or no longer there.
        """
        if not (self._folder(tenant, id) / _JOB).exists():
            raise Failure("VALIDATION_NOT_FOUND", metadata={"validation_id": id})
        try:
            content = (self.output(tenant, id, extent) / "report.json").read_bytes()
        except FileNotFoundError:
            content = b""
        if _digest(content) != self.state(tenant, id, extent).get("sha256"):
            raise Failure("STATE_DAMAGED", metadata={"validation_id": id})
        return json.loads(content)

    def output(self, tenant: str, id: str, extent: Extent = Extent.whole) -> Path:
        """Returns the folder that the pipeline writes to."""
        return self._folder(tenant, id) / _NAMES[extent].output

    def lock(self, tenant: str, id: str, extent: Extent = Extent.whole) -> int | None:
        """Returns a handle that holds a validation, None where another server, or this one, holds it."""
        handle = os.open(self._folder(tenant, id) / _NAMES[extent].lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        return handle

    def ask_to_cancel(self, tenant: str, id: str, extent: Extent = Extent.whole) -> None:
        """Asks whichever server holds a validation, now or next, to cancel it."""
        (self._folder(tenant, id) / _NAMES[extent].cancel).touch()

    def is_to_be_cancelled(self, tenant: str, id: str, extent: Extent = Extent.whole) -> bool:
        """Returns whether somebody asked for that."""
        return (self._folder(tenant, id) / _NAMES[extent].cancel).exists()

    def unfinished(self) -> Iterator[tuple[str, str, Extent]]:
        """Yields tenant, id and extent of every validation that somebody may still wait for, older ones first.

        Who waits for the verdict is answered by the whole where that is there or to be had.
        """
        paths = [path for path in self._root.glob(f"*/*/{_JOB}") if _ID.fullmatch(path.parent.name)]
        for path in sorted(paths, key=lambda each: each.stat().st_mtime):
            tenant, id = path.parts[-3:-1]
            with contextlib.suppress(Failure):
                states = {extent: each["state"] for extent, each in self.states(tenant, id).items()}
                extent = Extent.verdict if states.get(Extent.whole, "abandoned") == "abandoned" else Extent.whole
                if states.get(extent, "abandoned") not in _AT_REST:
                    yield tenant, id, extent

    def sweep(self, keep_s: float) -> None:
        """Removes validations that ended longer ago, and what was never whole."""
        for folder in self._root.glob("*/v*"):
            with contextlib.suppress(OSError), contextlib.ExitStack() as held:
                states = [path for each in _NAMES.values() if (path := folder / each.state).exists()]
                ages = states or [path for path in (folder / _JOB, folder) if path.exists()][:1]
                if time.time() - max(path.stat().st_mtime for path in ages) < keep_s:
                    continue
                for extent in Extent:
                    if (handle := self.lock(folder.parent.name, folder.name, extent)) is None:
                        break
                    held.callback(os.close, handle)
                else:
                    shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _ask(folder: Path, extent: Extent) -> bool:
        """Keeps that an extent was asked for; returns whether that was not known yet."""
        path = folder / _NAMES[extent].state
        return not path.exists() and _linked(path, _sealed(_QUEUED | {"at": time.time()}))

    def _folder(self, tenant: str, id: str) -> Path:
        return self._root / tenant / id


def _linked(path: Path, content: bytes) -> bool:
    """Makes a file, whole or not at all; returns False where one of that name is there already."""
    # A name of its own for each writer, and the link decides: of two replicas one makes the validation.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    write_synced(draft, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sealed(document: dict[str, Any]) -> bytes:
    body = json.dumps(document, allow_nan=False, sort_keys=True)
    return json.dumps({"sha256": _digest(body.encode()), "body": body}).encode()


def _opened(path: Path) -> dict[str, Any] | None:
    """Returns a document of the store, None where it is not there.

    Raises:
      Failure: if it is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        sealed = json.loads(content)
        if _digest(sealed["body"].encode()) == sealed["sha256"]:
            return json.loads(sealed["body"])
    except (ValueError, TypeError, KeyError):
        pass
    raise Failure("STATE_DAMAGED", metadata={"validation_id": path.parent.name})

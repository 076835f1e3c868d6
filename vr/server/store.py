"""Validations on disk, by tenant and id: what was asked, how far it is, and the report. Replicas may share it.

<store>/<tenant>/<id>/job.json      what was asked
                      state.json    how far it is; carries its own digest and the report's
                      cancel        there where somebody asked another server to cancel it
                      lock          held by the server that works on it, and let go by the system if that dies
                      report/       the pipeline's output folder, with which an interrupted run resumes
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
from typing import Any

from vr.core.files import sync_folder, write_synced
from vr.server.failures import Failure

__all__ = ["RunStore", "new_id"]

_ID = re.compile(r"v[0-9a-f]{32}")
_JOB, _STATE, _LOCK, _OUTPUT, _CANCEL = "job.json", "state.json", "lock", "report", "cancel"
_AT_REST = ("finished", "failed", "cancelled", "abandoned")


def new_id(tenant: str, key: str | None) -> str:
    """Returns the id of a validation: drawn, or, with an idempotency key, the same one for the same key."""
    digest = os.urandom(16).hex() if key is None else hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()[:32]
    return f"v{digest}"


class RunStore:
    """The store; all methods are short and block.

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

    def create(self, tenant: str, id: str, job: dict[str, Any]) -> bool:
        """Keeps what was asked; returns False where the same was asked before.

        Raises:
          Failure: if something else was asked under this id.
        """
        folder = self._folder(tenant, id)
        content = _sealed(job)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _JOB
        # A name of its own for each writer, and the link decides: of two replicas one makes the validation.
        draft = folder / f".{_JOB}.{os.getpid()}.{os.urandom(4).hex()}"
        write_synced(draft, content)
        try:
            os.link(draft, path)
        except FileExistsError:
            if _opened(path) != job:
                raise Failure("KEY_REUSED", metadata={"validation_id": id}) from None
            return False
        finally:
            draft.unlink()
        sync_folder(folder)
        return True

    def job(self, tenant: str, id: str) -> dict[str, Any] | None:
        """Returns what was asked, None where there is no such validation."""
        return _opened(self._folder(tenant, id) / _JOB) if _ID.fullmatch(id) else None

    def state(self, tenant: str, id: str) -> dict[str, Any]:
        """Returns how far a validation is: `state` and, of a failed one, `failure`."""
        return _opened(self._folder(tenant, id) / _STATE) or {"state": "queued"}

    def keep(self, tenant: str, id: str, state: dict[str, Any]) -> None:
        """Keeps how far a validation is; of a finished one with the digest of its report."""
        folder = self._folder(tenant, id)
        if state["state"] == "finished":
            state = state | {"sha256": _digest((self.output(tenant, id) / "report.json").read_bytes())}
        draft = folder / f".{_STATE}.{os.urandom(8).hex()}"
        write_synced(draft, _sealed(state | {"at": time.time()}))
        os.replace(draft, folder / _STATE)
        sync_folder(folder)

    def report(self, tenant: str, id: str) -> dict[str, Any]:
        """Returns the report of a finished validation.

        Raises:
          Failure: if it is not what was written, or no longer there.
        """
        if not (self._folder(tenant, id) / _JOB).exists():
            raise Failure("VALIDATION_NOT_FOUND", metadata={"validation_id": id})
        try:
            content = (self.output(tenant, id) / "report.json").read_bytes()
        except FileNotFoundError:
            content = b""
        if _digest(content) != self.state(tenant, id).get("sha256"):
            raise Failure("STATE_DAMAGED", metadata={"validation_id": id})
        return json.loads(content)

    def output(self, tenant: str, id: str) -> Path:
        """Returns the folder that the pipeline writes to."""
        return self._folder(tenant, id) / _OUTPUT

    def lock(self, tenant: str, id: str) -> int | None:
        """Returns a handle that holds a validation, None where another server, or this one, holds it."""
        handle = os.open(self._folder(tenant, id) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        return handle

    def ask_to_cancel(self, tenant: str, id: str) -> None:
        """Asks whichever server holds a validation, now or next, to cancel it."""
        (self._folder(tenant, id) / _CANCEL).touch()

    def is_to_be_cancelled(self, tenant: str, id: str) -> bool:
        """Returns whether somebody asked for that."""
        return (self._folder(tenant, id) / _CANCEL).exists()

    def unfinished(self) -> Iterator[tuple[str, str]]:
        """Yields tenant and id of every validation that somebody may still wait for, older ones first."""
        paths = [path for path in self._root.glob(f"*/*/{_JOB}") if _ID.fullmatch(path.parent.name)]
        for path in sorted(paths, key=lambda each: each.stat().st_mtime):
            tenant, id = path.parts[-3:-1]
            with contextlib.suppress(Failure):
                if self.state(tenant, id)["state"] not in _AT_REST:
                    yield tenant, id

    def sweep(self, keep_s: float) -> None:
        """Removes validations that ended longer ago, and what was never whole."""
        for folder in self._root.glob("*/v*"):
            with contextlib.suppress(OSError):
                path = next((folder / name for name in (_STATE, _JOB) if (folder / name).exists()), folder)
                if time.time() - path.stat().st_mtime < keep_s:
                    continue
                handle = self.lock(folder.parent.name, folder.name)
                if handle is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(handle)

    def _folder(self, tenant: str, id: str) -> Path:
        return self._root / tenant / id


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

"""What a worker's next process must know: the job under way, and ends that nobody has acknowledged.

<folder>/lock         held by the worker, and by the child that computes for it
        /name         of the worker, where none was given
        /current      the lease under way
        /spool/       Complete, Fail and Release that were not acknowledged, in order
        /jobs/<id>/   the pipeline's output folder, with which an interrupted job resumes
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError, VrError
from vr.core.files import sync_folder, write_synced
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire

__all__ = ["Current", "Spool", "WorkFolder", "is_same"]

_log = logging.getLogger("vr.worker")
_LOCK_S = 30.0  # that a dying child of an earlier worker may take


def is_same(a: Any, b: Any) -> bool:
    """Returns whether two claims are one."""
    return (a.job_id, a.attempt, a.fencing_token) == (b.job_id, b.attempt, b.fencing_token)


class WorkFolder:
    """A worker's folder, which no other process uses meanwhile.

    Args:
      root: Its path.
      lock_s: Longest wait for another process to let go of it.

    Attributes:
      lock: Descriptor that holds it. A child that inherits it holds it too.

    Raises:
      ConfigError: if it cannot be written, or another worker has it.
    """

    def __init__(self, root: Path, lock_s: float = _LOCK_S):
        self.root = root
        try:
            for name in ("jobs", "spool"):
                (root / name).mkdir(parents=True, exist_ok=True)
            self.lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise ConfigError(
                f"cannot be written ({err.strerror})", where=f"worker.folder, {root}", hint="another folder"
            ) from err
        deadline = time.monotonic() + lock_s
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(self.lock)
                    raise ConfigError(
                        "another worker uses it", where=f"worker.folder, {root}", hint="give each worker its own"
                    ) from None
                time.sleep(0.05)
        self.spool = Spool(root / "spool")

    def close(self) -> None:
        """Lets go of it, as far as this process is concerned."""
        os.close(self.lock)

    def name(self) -> str:
        """Returns the name that was drawn for the worker of this folder.

        Raises:
          VrError: if the disk does not say.
        """
        path = self.root / "name"
        with contextlib.suppress(UnicodeDecodeError):
            if text := (_read(path) or b"").decode("ascii").strip():
                return text
        host = "".join(char if char.isascii() and char.isalnum() else "-" for char in socket.gethostname()).strip("-")
        text = f"{host[:64] or 'worker'}-{os.urandom(4).hex()}"
        _replace(path, text.encode())
        return text

    def job(self, job_id: str) -> Path:
        """Returns where a job is computed."""
        return self.root / "jobs" / job_id

    def forget(self, job_id: str) -> None:
        """Removes a job's folder."""
        shutil.rmtree(self.job(job_id), ignore_errors=True)

    def sweep(self, keep_s: float) -> None:
        """Removes the folders of jobs that nobody has worked on for longer."""
        for folder in (self.root / "jobs").iterdir():
            with contextlib.suppress(OSError):
                newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
                if time.time() - newest >= keep_s:
                    shutil.rmtree(folder, ignore_errors=True)

    def begin(self, current: "Current") -> None:
        """Keeps what is under way."""
        body = {"lease": base64.b64encode(current.lease.SerializeToString()).decode(), "process": current.process}
        _replace(self.root / "current", _sealed(body))

    def current(self) -> "Current | None":
        """Returns what was under way when the last process ended; what is damaged is as good as nothing.

        Raises:
          VrError: if the disk does not say.
        """
        body = _opened(self.root / "current")
        if body is None:
            return None
        return Current(wire.JobLease.FromString(base64.b64decode(body["lease"])), body["process"])

    def end(self) -> None:
        """Nothing is under way any more."""
        with contextlib.suppress(FileNotFoundError):
            (self.root / "current").unlink()
            sync_folder(self.root)


class Current:
    """A lease under way.

    Args:
      lease: As the orchestrator granted it.
      process: How many processes of this worker have had it, this one included.
    """

    def __init__(self, lease: wire.JobLease, process: int = 1):
        self.lease, self.process = lease, process


class Spool:
    """Calls that must be acknowledged, on the disk before they are made.

    Args:
      folder: Where they are.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def add(self, name: str, request: Any) -> Path:
        """Keeps a call and returns its file; from now on it outlives this process, and a loss of power."""
        numbers = [int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal()]
        path = self._folder / f"{max(numbers, default=0) + 1:012d}.json"
        body = {"call": name, "request": base64.b64encode(request.SerializeToString()).decode()}
        _replace(path, _sealed(body))
        return path

    def waiting(self) -> list[tuple[Path, str, Any]]:
        """Returns file, name and request of every call, in order; damaged ones are set aside.

        Raises:
          VrError: if one cannot be read for now.
        """
        found = []
        for path in sorted(self._folder.glob("*.json")):
            body = _opened(path)
            if body is None:
                _log.error("%s is damaged and set aside", path)
                self.set_aside(path)
                continue
            kind = getattr(wire, f"{body['call']}Request")
            found.append((path, body["call"], kind.FromString(base64.b64decode(body["request"]))))
        return found

    def remove(self, path: Path) -> None:
        """Forgets an acknowledged call."""
        path.unlink(missing_ok=True)
        sync_folder(self._folder)

    def set_aside(self, path: Path) -> None:
        """Keeps a call that can never be made, for a person to look at."""
        aside = self._folder / "refused"
        aside.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside / f"{time.time_ns()}-{path.name}")


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    write_synced(draft, content)
    os.replace(draft, path)
    sync_folder(path.parent)


def _sealed(document: dict[str, Any]) -> bytes:
    body = json.dumps(document)
    return json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}).encode()


def _opened(path: Path) -> dict[str, Any] | None:
    """Returns what was sealed; None where there is no such file, or where it is damaged."""
    content = _read(path)
    if content is None:
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        sealed = json.loads(content)
        if hashlib.sha256(sealed["body"].encode()).hexdigest() == sealed["sha256"]:
            return json.loads(sealed["body"])
    return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        # It may be whole, and readable to the next process: a worker that took it for absent would lose a job.
        raise VrError(
            f"cannot be read ({err.strerror})",
            where=str(path),
            hint="check the disk of worker.folder, then start again",
        ) from err

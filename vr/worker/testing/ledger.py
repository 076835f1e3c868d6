"""Jobs, leases and ends in SQLite: what an orchestrator has to remember, and the rules by which a write counts.

A claim counts while it is the newest of its job. An end (Complete, Fail, Release) has an effect once; the same one
again is acknowledged and changes nothing; one of an older claim is answered by LEASE_LOST.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server._generated.vr.v1 import job_pb2

__all__ = ["Ledger"]

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, job_id TEXT UNIQUE NOT NULL, job BLOB NOT NULL, output_uri TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempt INTEGER NOT NULL DEFAULT 0, token INTEGER NOT NULL DEFAULT 0,
    worker TEXT, request TEXT, acknowledged INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0, sequence INTEGER NOT NULL DEFAULT 0, progress BLOB);
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, job_id TEXT NOT NULL, attempt INTEGER NOT NULL, token INTEGER NOT NULL,
    name TEXT NOT NULL, effect INTEGER NOT NULL, request BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ends (job_id TEXT PRIMARY KEY, name TEXT NOT NULL, request BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS leavers (worker TEXT PRIMARY KEY);
"""
_AT_REST = ("done", "failed", "cancelled")


class Ledger:
    """The jobs of one orchestrator.

    Args:
      path: The database.
      lease_s: Length of a lease.
      most_failures: Of one job, after which it has failed for good.
      clock: Seconds that only rise. Deadlines are not kept on the disk: after a restart every lease runs anew.
    """

    def __init__(
        self, path: Path, lease_s: float = 30.0, most_failures: int = 3, clock: Callable[[], float] = time.monotonic
    ):
        self.lease_s, self._most_failures, self._clock = lease_s, most_failures, clock
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        # An acknowledged write is on the disk, not only in its cache.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA busy_timeout = 5000")
        if self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError(f"{path} is damaged")
        self._db.executescript(_TABLES)
        leased = self._db.execute("SELECT job_id FROM jobs WHERE state = 'leased'")
        self._until = {row["job_id"]: clock() + lease_s for row in leased}

    def close(self) -> None:
        """Closes the database."""
        self._db.close()

    def submit(self, job_id: str, job: job_pb2.Job, output_uri: str = "") -> None:
        """Adds a job; the same again changes nothing."""
        with self._change() as db:
            db.execute(
                "INSERT OR IGNORE INTO jobs (job_id, job, output_uri) VALUES (?, ?, ?)",
                (job_id, job.SerializeToString(), output_uri),
            )

    def lease(self, request: wire.LeaseRequest) -> wire.LeaseResponse:
        """Grants the oldest job that nobody works on; the same question is granted the same again."""
        with self._change() as db:
            answer = wire.LeaseResponse()
            if db.execute("DELETE FROM leavers WHERE worker = ?", (request.worker_id,)).rowcount:
                answer.commands.append(wire.COMMAND_SHUT_DOWN)
                return answer
            held = db.execute(
                "SELECT * FROM jobs WHERE state = 'leased' AND worker = ? AND (request = ? OR acknowledged = 0)",
                (request.worker_id, request.request_id),
            ).fetchone()
            row = held or self._free(db)
            if row is None:
                answer.ask_again_after.FromMilliseconds(200)
                return answer
            if held is None:
                token = db.execute("SELECT MAX(token) FROM jobs").fetchone()[0] + 1
                db.execute(
                    "UPDATE jobs SET state = 'leased', acknowledged = 0, sequence = 0, attempt = ?, token = ? "
                    "WHERE job_id = ?",
                    (row["attempt"] + 1, token, row["job_id"]),
                )
            names = (request.worker_id, request.request_id, row["job_id"])
            db.execute("UPDATE jobs SET worker = ?, request = ? WHERE job_id = ?", names)
            self._until[row["job_id"]] = self._clock() + self.lease_s
            self._describe(answer.job_lease, self.row(row["job_id"]))
            return answer

    def write(self, name: str, request: Any) -> wire.Standing | None:
        """Does what a call with a claim asks for, if the claim counts; None where there is no such job."""
        claim = request.claim
        with self._change() as db:
            row = self._row(db, claim.job_id)
            if row is None:
                return None
            standing = wire.Standing()
            key = (claim.job_id, claim.attempt, claim.fencing_token)
            known = db.execute(
                "SELECT 1 FROM calls WHERE job_id = ? AND attempt = ? AND token = ? AND name = ? AND effect = 1",
                (*key, name),
            ).fetchone()
            has_effect = False
            if name in ("Complete", "Fail", "Release") and known:
                pass
            elif (row["attempt"], row["token"]) != (claim.attempt, claim.fencing_token):
                standing.commands.append(wire.COMMAND_LEASE_LOST)
            elif row["state"] in _AT_REST:
                if row["state"] == "cancelled":
                    standing.commands.append(wire.COMMAND_CANCEL)
            elif row["state"] == "waiting":
                # Given back, or failed, by this very claim.
                standing.commands.append(wire.COMMAND_LEASE_LOST)
            else:
                has_effect = self._effect(db, row, name, request)
                if row["cancel"]:
                    standing.commands.append(wire.COMMAND_CANCEL)
                if name not in ("Complete", "Fail", "Release"):
                    self._until[claim.job_id] = self._clock() + self.lease_s
                    standing.lease.FromMilliseconds(round(self.lease_s * 1000))
            if db.execute("SELECT 1 FROM leavers WHERE worker = ?", (row["worker"],)).fetchone():
                standing.commands.append(wire.COMMAND_SHUT_DOWN)
            db.execute(
                "INSERT INTO calls (job_id, attempt, token, name, effect, request) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, name, int(has_effect), request.SerializeToString()),
            )
            return standing

    def cancel(self, job_id: str) -> None:
        """Cancels a job; one that has ended stays as it is."""
        with self._change() as db:
            db.execute("UPDATE jobs SET state = 'cancelled' WHERE job_id = ? AND state = 'waiting'", (job_id,))
            db.execute("UPDATE jobs SET cancel = 1 WHERE job_id = ? AND state = 'leased'", (job_id,))

    def expire(self, job_id: str) -> None:
        """Lets a lease run out now: whoever asks next has the job."""
        with self._lock:
            self._until[job_id] = self._clock()

    def shut_down(self, worker: str) -> None:
        """Has a worker told to end."""
        with self._change() as db:
            db.execute("INSERT OR IGNORE INTO leavers VALUES (?)", (worker,))

    def state(self, job_id: str) -> str:
        """Returns `waiting`, `leased`, `done`, `failed` or `cancelled`."""
        return self.row(job_id)["state"]

    def row(self, job_id: str) -> dict[str, Any]:
        """Returns all that is known of a job."""
        with self._lock:
            row = self._row(self._db, job_id)
            if row is None:
                raise KeyError(job_id)
            return dict(row)

    def progress(self, job_id: str) -> job_pb2.Progress | None:
        """Returns the newest progress of a job."""
        blob = self.row(job_id)["progress"]
        return None if blob is None else job_pb2.Progress.FromString(blob)

    def end(self, job_id: str) -> Any:
        """Returns the CompleteRequest or FailRequest that ended a job; None where nothing has."""
        with self._lock:
            row = self._db.execute("SELECT * FROM ends WHERE job_id = ?", (job_id,)).fetchone()
        return None if row is None else getattr(wire, f"{row['name']}Request").FromString(row["request"])

    def calls(self, job_id: str, name: str | None = None, *, effective: bool = False) -> list[dict[str, Any]]:
        """Returns the calls that were made for a job, in order; `effective`: only those that changed something."""
        words = "SELECT * FROM calls WHERE job_id = ? AND (? IS NULL OR name = ?) AND effect >= ? ORDER BY number"
        with self._lock:
            return [dict(row) for row in self._db.execute(words, (job_id, name, name, int(effective)))]

    def _effect(self, db: sqlite3.Connection, row: sqlite3.Row, name: str, request: Any) -> bool:
        """Does what a call of the newest claim asks for; returns whether that changed anything."""
        job_id = row["job_id"]
        if name == "Acknowledge":
            db.execute("UPDATE jobs SET acknowledged = 1 WHERE job_id = ?", (job_id,))
        elif name == "ReportProgress":
            if request.sequence <= row["sequence"]:
                return False
            blob = request.progress.SerializeToString()
            db.execute("UPDATE jobs SET sequence = ?, progress = ? WHERE job_id = ?", (request.sequence, blob, job_id))
        elif name != "Heartbeat":
            state = self._state_after(row, name, request)
            failures = row["failures"] + (name == "Fail")
            db.execute("UPDATE jobs SET state = ?, failures = ? WHERE job_id = ?", (state, failures, job_id))
            if state in ("done", "failed"):
                # A second end of a job would be an error of the database's own.
                db.execute("INSERT INTO ends VALUES (?, ?, ?)", (job_id, name, request.SerializeToString()))
        return True

    def _state_after(self, row: sqlite3.Row, name: str, request: Any) -> str:
        if row["cancel"]:
            return "cancelled"
        if name == "Complete":
            return "done"
        if name == "Fail" and not (request.retryable and row["failures"] + 1 < self._most_failures):
            return "failed"
        return "waiting"

    def _describe(self, lease: wire.JobLease, row: dict[str, Any]) -> None:
        lease.claim.CopyFrom(wire.Claim(job_id=row["job_id"], attempt=row["attempt"], fencing_token=row["token"]))
        lease.job.ParseFromString(row["job"])
        lease.lease.FromMilliseconds(round(self.lease_s * 1000))
        lease.output_uri = row["output_uri"]

    def _free(self, db: sqlite3.Connection) -> sqlite3.Row | None:
        for row in db.execute("SELECT * FROM jobs WHERE state IN ('waiting', 'leased') ORDER BY number").fetchall():
            if row["state"] == "leased":
                if self._until[row["job_id"]] > self._clock():
                    continue
                if row["cancel"]:
                    db.execute("UPDATE jobs SET state = 'cancelled' WHERE job_id = ?", (row["job_id"],))
                    continue
            return row
        return None

    @staticmethod
    def _row(db: sqlite3.Connection, job_id: str) -> sqlite3.Row | None:
        return db.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it, and nobody else meanwhile."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

"""Settings of `vr worker`."""

import re
from dataclasses import dataclass
from pathlib import Path

from vr.core.errors import ConfigError

__all__ = ["WorkerConfig"]

_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|\[::1\]|localhost):\d+")
_TARGET = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass
class WorkerConfig:
    """Whom a worker takes jobs from, where it keeps them, and how patient it is."""

    orchestrator: str | None = None  # HOST:PORT
    name: str | None = None  # as the orchestrator knows it, one worker a name; None: drawn once, and kept in `folder`
    folder: str = "outputs/worker"  # of jobs under way, and of ends that nobody has acknowledged; one worker a folder
    keep_days: float = 7.0  # that a job's folder stays after its last use, with results that were published nowhere

    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None  # of the Prometheus metrics; None: none, 0: any that is free
    traces: str | None = None  # http://HOST:PORT of a collector of OpenTelemetry (OTLP); None: there are none

    tls: bool = False  # encrypt, trusting what the system trusts
    authority: str | None = None  # PEM files: the orchestrator's certificate authority, and for mTLS one's own pair
    certificate: str | None = None
    private_key: str | None = None
    token_file: str | None = None  # holds a bearer token
    insecure: bool = False  # beyond loopback without TLS

    # Data that jobs may name; None: everything that the worker's own user may read.
    roots: list[str] | None = None  # folders
    buckets: list[str] | None = None  # s3:// and gs:// prefixes, for results too

    threads: int = 0  # of the child; 0: all cores
    restarts: int = 3  # of a child that dies again and again without getting further, or cannot be started
    job_limit_s: float = 86_400.0  # of one job in one process, while there is a child; a job may ask for less
    progress_s: float = 1.0  # between two reports of progress
    call_s: float = 10.0  # longest wait for one answer
    longest_pause_s: float = 10.0  # between two attempts to reach an orchestrator that is away
    unattended_s: float = 3_600.0  # that a job goes on after its lease has run out and nobody can be asked
    grace_s: float = 0.0  # from SIGTERM until the job under way is given back
    farewell_s: float = 5.0  # longest wait for an acknowledgement after that

    def __post_init__(self) -> None:
        for name, low in (("threads", 0), ("restarts", 0), ("grace_s", 0), ("farewell_s", 0), ("unattended_s", 0)):
            _within(name, getattr(self, name), low, 1e7)
        for name in ("job_limit_s", "progress_s", "call_s", "longest_pause_s", "keep_days"):
            _within(name, getattr(self, name), 0.01, 1e7)
        if self.metrics_port is not None:
            _within("metrics_port", self.metrics_port, 0, 65_535)
        if self.orchestrator is not None and not _TARGET.fullmatch(self.orchestrator):
            raise ConfigError(f"{self.orchestrator} is not HOST:PORT", where="worker.orchestrator")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is no name", where="worker.name", hint="letters, digits, dots and dashes, 128 at most"
            )
        if (self.certificate is None) != (self.private_key is None):
            raise ConfigError(
                "one of them alone is of no use", where="worker.certificate and worker.private_key", hint="give both"
            )
        for name in ("authority", "certificate", "private_key", "token_file"):
            if (path := getattr(self, name)) is not None and not Path(path).is_file():
                raise ConfigError(f"no file {path}", where=f"worker.{name}", hint="check the path")

    @property
    def encrypts(self) -> bool:
        """Whether the connection is by TLS."""
        return self.tls or self.authority is not None or self.certificate is not None

    def target(self) -> str:
        """Returns whom to connect to.

        Raises:
          ConfigError: if nobody was named, or somebody beyond loopback without TLS and without `worker.insecure=true`.
        """
        if self.orchestrator is None:
            raise ConfigError("nobody to take jobs from", where="worker.orchestrator", hint="give HOST:PORT")
        if not (self.encrypts or self.insecure or _LOOPBACK.fullmatch(self.orchestrator)):
            raise ConfigError(
                f"{self.orchestrator} is on another machine, and there is no TLS",
                where="worker.orchestrator",
                hint="give worker.authority or worker.tls=true, or say worker.insecure=true",
            )
        return self.orchestrator


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"must lie in {low:g} to {high:g}, not {value:g}", where=f"worker.{name}")

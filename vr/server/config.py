"""Settings of `vr serve`."""

import os
from dataclasses import dataclass
from pathlib import Path

from vr.core.errors import ConfigError

__all__ = ["ServerConfig"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class ServerConfig:
    """Where the service listens, who may ask it for what, and how much at once.

    Beyond loopback it wants TLS, and whoever asks must be a tenant of the tenants' file.
    """

    host: str = "127.0.0.1"
    port: int = 50051  # 0: any that is free
    health_port: int | None = None  # plain text, health alone: for probes that have no certificate
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None  # of the Prometheus metrics; None: none
    traces: str | None = None  # http://HOST:PORT of a collector of OpenTelemetry (OTLP); None: there are none
    reflection: bool | None = None  # None: on loopback alone

    certificate: str | None = None  # PEM files; read again when they change
    private_key: str | None = None
    client_ca: str | None = None  # ask for certificates of this authority (mTLS)
    insecure: bool = False  # beyond loopback without TLS, and without tenants

    tenants: str | None = None  # TOML: who may ask, and for which data; None: one tenant, `local`
    # Of the tenant `local`; None: on loopback everything that the server's own user may read, beyond it nothing.
    roots: list[str] | None = None  # folders
    buckets: list[str] | None = None  # s3:// and gs:// prefixes

    store: str = "outputs/server"  # of validations, by id; replicas may share it
    keep_days: float = 7.0  # that a finished validation stays in the store
    # A folder, or an s3:// or gs:// prefix, that a stratified sample of every candidate is written below, by tenant and
    # validation id; nobody takes it away again. None: none is drawn.
    samples: str | None = None
    sample_rows: int = 10_000  # of each

    children: int = 0  # validations computed at once; 0: one for each two cores
    child_threads: int = 0  # of each child; 0: its share of the cores
    restarts: int = 2  # of a validation whose child died, from where it was
    queue: int = 32  # validations waiting for a child, all tenants together
    tenant_jobs: int = 16  # validations waiting or computed, of one tenant
    method_calls: int = 256  # calls of one method under way
    tenant_calls: int = 128  # calls of one tenant under way

    default_deadline_s: float = 3_600.0  # of a unary call that sets none
    max_deadline_s: float = 86_400.0
    job_limit_s: float = 21_600.0  # of the work of one validation; a request may ask for less
    drain_s: float = 25.0  # from SIGTERM until what still runs is left for another replica to resume
    propagation_s: float = 0.0  # from "not serving" until new calls are refused: what a load balancer takes to notice
    max_message_bytes: int = 32 << 20
    keepalive_s: float = 30.0  # between pings to a client that is silent

    def __post_init__(self) -> None:
        for name, low, high in (("port", 0, 65_535), ("queue", 0, 1 << 20), ("children", 0, 1024)):
            _within(name, getattr(self, name), low, high)
        for name in ("health_port", "metrics_port"):
            if (value := getattr(self, name)) is not None:
                _within(name, value, 0, 65_535)
        for name in ("child_threads", "restarts", "drain_s", "propagation_s"):
            _within(name, getattr(self, name), 0, 86_400)
        _within("sample_rows", self.sample_rows, 100, 1_000_000)
        for name in ("tenant_jobs", "method_calls", "tenant_calls"):
            _within(name, getattr(self, name), 1, 1 << 20)
        for name in ("default_deadline_s", "max_deadline_s", "job_limit_s", "keepalive_s", "keep_days"):
            _within(name, getattr(self, name), 0.001, 1e9)
        _within("max_message_bytes", self.max_message_bytes, 1 << 16, 1 << 30)
        if (self.certificate is None) != (self.private_key is None):
            raise ConfigError(
                "one of them alone is of no use", where="server.certificate and server.private_key", hint="give both"
            )
        if self.client_ca is not None and self.certificate is None:
            raise ConfigError(
                "needs the server's own certificate", where="server.client_ca", hint="give server.certificate"
            )
        for name in ("certificate", "private_key", "client_ca", "tenants"):
            if (path := getattr(self, name)) is not None and not Path(path).is_file():
                raise ConfigError(f"no file {path}", where=f"server.{name}", hint="check the path")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in _LOOPBACK

    @property
    def shows_itself(self) -> bool:
        """Whether the service answers reflection."""
        return self.is_loopback if self.reflection is None else self.reflection

    def refuse_exposure(self) -> None:
        """Raises where the service would listen beyond loopback unprotected, and was not told to in as many words.

        Raises:
          ConfigError: without TLS, or without tenants, and without `server.insecure=true`.
        """
        if self.is_loopback or self.insecure:
            return
        if self.certificate is None:
            raise ConfigError(
                f"{self.host} can be reached from other machines, and there is no TLS",
                where="server.host",
                hint="give server.certificate and server.private_key, or say server.insecure=true",
            )
        # An authority says that it knows somebody, not who may read what.
        if self.tenants is None:
            raise ConfigError(
                f"{self.host} can be reached from other machines, and anybody may ask",
                where="server.host",
                hint="give server.tenants, or say server.insecure=true",
            )

    def counted_children(self) -> int:
        """Returns how many validations are computed at once."""
        return self.children or max(1, (os.cpu_count() or 1) // 2)

    def threads_of_child(self) -> int:
        """Returns how many threads each child computes with."""
        return self.child_threads or max(1, (os.cpu_count() or 1) // self.counted_children())


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"must lie in {low:g} to {high:g}, not {value:g}", where=f"server.{name}")

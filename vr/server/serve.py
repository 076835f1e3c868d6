"""The front process: it listens, admits and answers, and computes nothing itself."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from vr.core.errors import ConfigError
from vr.server.children import Children
from vr.server.config import ServerConfig
from vr.server.jobs import Jobs
from vr.server.logs import log_to_stderr
from vr.server.methods import SERVICES, Methods
from vr.server.metrics import Metrics
from vr.server.metrics import serve as serve_metrics
from vr.server.reflection import add_reflection
from vr.server.store import RunStore
from vr.server.tenants import Tenants
from vr.server.tls import server_credentials
from vr.server.traces import Traces

__all__ = ["Server", "serve"]

_log = logging.getLogger("vr.server")
LIVENESS = "liveness"
_READY = ("", *SERVICES)
_LOOK_S = 1.0  # between two looks at whether the service can work
_SWEEP_S = 3_600.0
_LEAVE_S = 10.0  # that a store and children have to let go, after a second signal
_STORE_S = 5.0  # a store that does not answer for so long cannot be written


class Server:
    """The service in one event loop.

    Args:
      config: Of the server.
      base: The configuration of a validation, which requests change.

    Attributes:
      port: Where it listens, once it does.
    """

    def __init__(self, config: ServerConfig, base: Mapping[str, Any]):
        config.refuse_exposure()
        self.config, self.port, self.health_port, self.metrics_port = config, 0, None, None
        self.metrics = Metrics()
        self.tenants = Tenants.of(config)
        try:
            self.store = RunStore(Path(config.store))
        except OSError as err:
            raise ConfigError(
                f"cannot be written ({err.strerror})", where="server.store", hint="another folder"
            ) from err
        count = config.counted_children()
        self.children = Children(count, base, config.threads_of_child(), lambda code: self.metrics.child_deaths.inc())
        self.traces = Traces.of(config.traces, "vr-server")
        trains = bool(base.get("cascade", {}).get("tiers", True))
        self.jobs = Jobs(config, self.store, self.children, self.metrics, self.traces, trains=trains)
        self._health = health.aio.HealthServicer()
        self._servers: list[grpc.aio.Server] = []
        self._watch: asyncio.Task[None] | None = None
        self._draining = False

    async def start(self) -> None:
        """Listens, and returns when a child is ready to work.

        Raises:
          ConfigError: if the address cannot be had.
        """
        config = self.config
        credentials = None if config.certificate is None else server_credentials(config)
        self._server = grpc.aio.server(options=_options(config))
        if config.shows_itself:
            add_reflection(self._server, [*SERVICES, health.SERVICE_NAME])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((Methods(config, self.tenants, self.jobs, self.metrics, self.traces),))
        self.port = _bound(self._server, config.host, config.port, credentials, "server.port")
        self._servers = [self._server]
        if config.health_port is not None:
            probes = grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, probes)
            self.health_port = _bound(probes, config.host, config.health_port, None, "server.health_port")
            self._servers.append(probes)
        if config.metrics_port is not None:
            try:
                self.metrics_port = serve_metrics(self.metrics.registry, config.metrics_host, config.metrics_port)
            except OSError as err:
                raise ConfigError(str(err.strerror), where="server.metrics_port", hint="another port") from err
        for name in _READY:
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        self.children.start()
        for server in self._servers:
            await server.start()
        self._watch = asyncio.get_running_loop().create_task(self._look())
        while not self.children.ready:
            await asyncio.sleep(0.02)
        await self._say_health()
        await self.jobs.resume(self.tenants.by_name)

    async def stop(self, seconds: float | None = None) -> None:
        """Says that it stops, takes no more, gives what is under way some time, and ends its children."""
        self._draining = True
        await self._say_health()
        await asyncio.sleep(self.config.propagation_s)
        seconds = self.config.drain_s if seconds is None else seconds
        await self.jobs.drain(seconds)
        for server in self._servers:
            # What has ended is told; nothing else is left to wait for.
            await server.stop(5.0)
        if self._watch is not None:
            self._watch.cancel()
        await self.children.close()
        await asyncio.to_thread(self.traces.close)

    async def leave(self) -> None:
        """Ends at once: what runs is left for another server to resume, and then the children end."""
        # A child that ended first would count as one that its validation had killed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self.jobs.drain(0)
        await self.children.close()

    async def _look(self) -> None:
        """Keeps health and gauges true, and the store tidy."""
        swept = 0.0
        while True:
            with contextlib.suppress(Exception):
                self.children.replace_dead()
                await self._say_health()
                self.metrics.children.set(self.children.ready)
                for state, count in self.jobs.counts.items():
                    self.metrics.validations.labels(state).set(count)
                now = asyncio.get_running_loop().time()
                if now - swept >= _SWEEP_S or not swept:
                    swept = now
                    await asyncio.to_thread(self.store.sweep, self.config.keep_days * 86_400)
            await asyncio.sleep(_LOOK_S)

    async def _say_health(self) -> None:
        works = self.children.ready > 0 and not self._draining
        if works:
            try:
                async with asyncio.timeout(_STORE_S):
                    await asyncio.to_thread(self.store.check)
            except (OSError, TimeoutError):
                works = False
        status = health_pb2.HealthCheckResponse.SERVING if works else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in _READY:
            await self._health.set(name, status)


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.keepalive_time_ms", round(config.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients of vr ping every 30 s; what pings thrice as often is told to stop.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Of two servers on one port the second is refused.
        ("grpc.so_reuseport", 0),
    ]


def _bound(server: grpc.aio.Server, host: str, port: int, credentials: Any, where: str) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as err:
        raise ConfigError(f"{address} cannot be listened on", where=where, hint="another port, or 0") from err


def serve(config: ServerConfig, base: Mapping[str, Any], announce: Callable[[str], None]) -> int:
    """Serves until a SIGTERM or SIGINT, drains, and returns the exit code; a second signal ends it at once.

    Args:
      config: Of the server.
      base: The configuration of a validation, which requests change.
      announce: Told `HOST:PORT` when it is ready.
    """
    log_to_stderr()
    return asyncio.run(_serve(config, base, announce))


async def _serve(config: ServerConfig, base: Mapping[str, Any], announce: Callable[[str], None]) -> int:
    server = Server(config, base)
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    asked = loop.create_task(signals.get())
    starting = loop.create_task(server.start())
    try:
        await asyncio.wait([asked, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            host = f"[{config.host}]" if ":" in config.host else config.host
            announce(f"{host}:{server.port}")
            _log.info(
                "listening on port %d, metrics %s, health %s", server.port, server.metrics_port, server.health_port
            )
            await asked
        starting.cancel()
        stopping = loop.create_task(server.stop())
        again = loop.create_task(signals.get())
        _log.info("stopping")
        await asyncio.wait([stopping, again], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait([stopping])
        else:
            stopping.result()
        again.cancel()
        return 0
    finally:
        await server.leave()

"""`vr serve` without its words: settings composed, the server run."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vr.config import compose, compose_section, to_dict
from vr.core.errors import ConfigError
from vr.server.config import ServerConfig

if TYPE_CHECKING:
    from vr.pipeline.config import Config

__all__ = ["prepared", "run_server"]

_NEEDED = ("grpc_health", "grpc_reflection", "grpc_status", "protovalidate", "prometheus_client")


def run_server(words: Sequence[str], announce: Callable[[str], None]) -> int:
    """Serves until it is asked to stop, and returns the exit code.

    Args:
      words: Hydra overrides, those of the group `server` for the server, others for every validation.
      announce: Told `HOST:PORT` when it is ready.

    Raises:
      ConfigError: for a setting that cannot be used, or where the extra `server` is not installed.
    """
    config, base = prepared(words)
    from vr.server.serve import serve

    return serve(config, to_dict(base), announce)


def prepared(words: Sequence[str]) -> "tuple[ServerConfig, Config]":
    """Returns the server's settings and what validations start from, checked as far as that is possible before serving.

    Raises:
      ConfigError: as `run_server` does.
    """
    ours = [word for word in words if word.partition("=")[0].split(".")[0] == "server"]
    config = compose_section("server", ServerConfig, ours)
    base = compose([word for word in words if word not in ours])
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise ConfigError("needs more packages", where="vr serve", hint="pip install 'vr[server]'")
    config.refuse_exposure()
    from vr.server.tenants import Tenants
    from vr.server.tls import server_credentials
    from vr.server.traces import check_collector

    check_collector(config.traces, "server.traces")
    Tenants.of(config)
    if config.certificate is not None:
        server_credentials(config)
    return config, base

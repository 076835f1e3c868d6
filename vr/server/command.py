"""`vr serve` without its words: settings composed, the server run."""

import importlib.util
from collections.abc import Callable, Sequence

from vr.config import compose, compose_section, to_dict
from vr.core.errors import ConfigError
from vr.server.config import ServerConfig

__all__ = ["run_server"]

_NEEDED = ("grpc_health", "grpc_reflection", "grpc_status", "protovalidate", "prometheus_client")


def run_server(words: Sequence[str], announce: Callable[[str], None]) -> int:
    """Serves until it is asked to stop, and returns the exit code.

    Args:
      words: Hydra overrides, those of the group `server` for the server, others for every validation.
      announce: Told `HOST:PORT` when it is ready.

    Raises:
      ConfigError: for a setting that cannot be used, or where the extra `server` is not installed.
    """
    ours = [word for word in words if word.partition("=")[0].split(".")[0] == "server"]
    config = compose_section("server", ServerConfig, ours)
    base = to_dict(compose([word for word in words if word not in ours]))
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise ConfigError("needs more packages", where="vr serve", hint="pip install 'vr[server]'")
    from vr.server.serve import serve

    return serve(config, base, announce)

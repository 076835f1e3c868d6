"""`vr worker` without its words: settings composed, the supervisor run."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vr.config import compose, compose_section, to_dict
from vr.core.errors import ConfigError
from vr.worker.config import WorkerConfig

if TYPE_CHECKING:
    from vr.pipeline.config import Config

__all__ = ["prepared", "run_worker"]

_NEEDED = ("grpc_status", "protovalidate", "prometheus_client")


def run_worker(words: Sequence[str], announce: Callable[[str, str], None]) -> int:
    """Works until it is asked to stop, and returns the exit code.

    Args:
      words: Hydra overrides, those of the group `worker` for the worker, others for every job.
      announce: Told the orchestrator's address and the worker's name once it is connected.

    Raises:
      ConfigError: for a setting that cannot be used, or where the extra `server` is not installed.
    """
    config, base = prepared(words)
    from vr.worker.supervisor import supervise

    return supervise(config, to_dict(base), announce)


def prepared(words: Sequence[str]) -> "tuple[WorkerConfig, Config]":
    """Returns the worker's settings and what jobs start from, checked as far as that is possible before working.

    Raises:
      ConfigError: as `run_worker` does.
    """
    ours = [word for word in words if word.partition("=")[0].split(".")[0] == "worker"]
    config = compose_section("worker", WorkerConfig, ours)
    base = compose([word for word in words if word not in ours])
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise ConfigError("needs more packages", where="vr worker", hint="pip install 'vr[server]'")
    config.target()
    from vr.server.traces import check_collector
    from vr.worker.calls import credentials_of, metadata_of

    check_collector(config.traces, "worker.traces")
    credentials_of(config)
    metadata_of(config)
    return config, base

"""The settings that a doctor looks with: those of a run, of the server and of the worker, and the folders they name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vr.config import compose, compose_section
from vr.core.errors import ConfigError

if TYPE_CHECKING:
    from vr.pipeline.config import Config

__all__ = ["composed"]


def composed(words: Sequence[str]) -> "tuple[Config, dict[str, tuple[Path, bool]]]":
    """Returns the configuration that overrides give, and by name every folder that vr would write to.

    Args:
      words: Overrides as of `vr validate`, `vr serve` and `vr worker` together.

    Returns:
      The configuration of a run; for each folder also whether processes lock files in it.

    Raises:
      ConfigError: for a setting that cannot be used.
    """
    import platformdirs

    from vr.server.config import ServerConfig
    from vr.worker.config import WorkerConfig

    apart = {
        name: [word for word in words if word.split("=")[0].split(".")[0] == name] for name in ("server", "worker")
    }
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError("is neither an option nor KEY=VALUE", where=word)
    config = compose([word for word in words if not any(word in each for each in apart.values())])
    server: ServerConfig = compose_section("server", ServerConfig, apart["server"])
    worker: WorkerConfig = compose_section("worker", WorkerConfig, apart["worker"])
    wanted = {
        "outputs": (Path("outputs"), False),
        "cache": (Path(platformdirs.user_cache_dir("vr")), False),
        "server.store": (Path(server.store), True),
        "worker.folder": (Path(worker.folder), True),
    }
    if config.engine.cache is not None:
        wanted["engine.cache"] = (Path(config.engine.cache), True)
    return config, wanted

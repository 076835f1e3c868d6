"""Hydra's door: one run, or a sweep of runs, each in a folder of its own.

    python -m experiments.validate data.uri=a.parquet reference.uri=b.parquet cascade=smoke
    python -m experiments.validate -m data.uri=a.parquet,c.parquet reference.uri=b.parquet seed=1,2,3

A run's folder (`outputs/<date>/<time>`, or `multirun/<date>/<time>/<number>`) holds report.json, report.html,
row_scores.parquet, run.json (resolved configuration, git revision, versions) and Hydra's own .hydra folder.
"""

import json
import logging
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from vr.cascade.hosts import Hosts, leave
from vr.config import HYDRA_VERSION_BASE, from_hydra, register, to_dict
from vr.config_folder import config_folder
from vr.core.errors import PeerLostError, PreemptedError, VrError
from vr.pipeline.config import Config
from vr.pipeline.report import write_atomically
from vr.session import run

__all__ = ["main"]

_LOG = logging.getLogger(__name__)
_PACKAGES = (
    "vr",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "numba",
    "pyarrow",
    "hydra-core",
)

# Hydra looks the schemas up while it composes, before main is called.
register()


@hydra.main(config_path=str(config_folder()), config_name="config", version_base=HYDRA_VERSION_BASE)
def main(composed: DictConfig) -> float | None:
    """Runs one job and returns its risk score, which a sweeper may minimise."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        config = from_hydra(composed)
        hosts = Hosts.of(os.environ)
        if hosts is None or hosts.process == 0:
            write_atomically(folder / "run.json", json.dumps(_provenance(config), indent=1).encode())
        report = run(None, None, config, output=folder)
    except (PreemptedError, PeerLostError) as error:
        # Neither concerns this job alone, so no sweep goes on; the supervisor knows the exit codes.
        _LOG.warning("%s", error)
        raise SystemExit(error.exit_code) from error
    except VrError as error:
        # Hydra prints this kind as one line, after the sweep's other jobs have run.
        raise CompactHydraException(f"error: {error}") from error
    _LOG.info("%s: %s, risk %.0f of 100, in %s", report.dataset.uri, report.verdict.value, report.risk_score, folder)
    return report.risk_score


def _provenance(config: Config) -> dict[str, Any]:
    changes = _git("status", "--porcelain")
    return {
        "configuration": to_dict(config),
        "git_revision": _git("rev-parse", "HEAD"),
        "git_dirty": None if changes is None else changes != "",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _git(*words: str) -> str | None:
    """Returns what git says of the checkout, None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=True, cwd=Path(__file__).parent, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            leave(ended.code)
        raise

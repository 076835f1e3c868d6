"""Launchers of sweeps: each composes with its plugin, and one runs for real."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins

from tests.doors.test_runs import real_rows
from vr.config import HYDRA_VERSION_BASE, register
from vr.config_folder import config_folder


@pytest.mark.parametrize(
    ("name", "plugin", "setting", "value"),
    [
        ("processes", "hydra_submitit_launcher", "cpus_per_task", 1),
        ("slurm", "hydra_submitit_launcher", "array_parallelism", 64),
        ("ray_cluster", "hydra_ray_launcher", "ray.init.address", "auto"),
    ],
)
def test_a_launcher_composes_with_its_plugin(name, plugin, setting, value):
    pytest.importorskip(f"hydra_plugins.{plugin}", reason="wants cloudpickle below 3, which nothing else here does")
    register()
    Plugins.instance()
    with initialize_config_dir(str(config_folder()), version_base=HYDRA_VERSION_BASE):
        composed = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    found = composed.hydra.launcher
    for part in setting.split("."):
        found = found[part]
    assert found == value
    assert composed.hydra.launcher._target_.startswith(f"hydra_plugins.{plugin}")


@pytest.mark.slow
def test_a_sweep_runs_as_processes(tmp_path, repository):
    pq.write_table(real_rows(1), tmp_path / "reference.parquet")
    pq.write_table(real_rows(2), tmp_path / "fresh.parquet")
    words = ("data.uri=fresh.parquet", "reference.uri=reference.parquet", "cascade=none", "seed=1,2")
    sweep = (*words, "hydra/launcher=processes", f"hydra.sweep.dir={tmp_path}/sweep")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.validate", "-m", *sweep],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for number, seed in enumerate((1, 2)):
        report = json.loads((tmp_path / "sweep" / str(number) / "report.json").read_text())
        assert report["run"]["seed"] == seed

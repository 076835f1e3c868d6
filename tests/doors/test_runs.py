"""The doors onto the real pipeline: one run, whichever way it is asked for."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vr
from vr.core.errors import ConfigError, DataError
from vr.pipeline.config import Config
from vr.pipeline.report import ValidationReport

ROWS = 1_200


def real_rows(seed: int) -> pa.Table:
    """A small mixed table with dependence between its columns."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, 3)) @ np.array([[1.0, 0.8, 0.2], [0.0, 0.6, 0.5], [0.0, 0.0, 0.8]])
    group = np.array(["low", "middle", "high"])[np.searchsorted([-1.0, 1.0], x[:, 1])]
    return pa.table({"a": x[:, 0], "b": np.exp(x[:, 1]), "n": np.round(10 * x[:, 2]).astype("int64"), "group": group})


def broken_rows(seed: int) -> pa.Table:
    """The same columns without dependence, tails or spread."""
    rng = np.random.default_rng(seed + 100)
    table = real_rows(seed).to_pydict()
    shuffled = {name: np.array(values)[rng.permutation(ROWS)] for name, values in table.items()}
    return pa.table(shuffled | {"a": 0.3 * np.clip(shuffled["a"], -0.5, 0.5), "group": np.full(ROWS, "middle")})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, table in (("reference", real_rows(1)), ("fresh", real_rows(2)), ("broken", broken_rows(3))):
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "junk.parquet").write_bytes(b"this is no parquet")
    return folder


def python(*words: object, cwd: Path, timeout: int = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=timeout)


def command(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "vr", *words, cwd=cwd)


def but_run(report: ValidationReport | dict, *also: str) -> dict:
    document = report if isinstance(report, dict) else report.to_dict()
    return {key: value for key, value in document.items() if key not in ("run", *also)}


@pytest.fixture(scope="module")
def rejected(data, tmp_path_factory):
    """A run of the command over the broken candidate, gated, with its page."""
    folder = tmp_path_factory.mktemp("rejected")
    words = ("broken.parquet", "-r", "reference.parquet", "-o", folder / "out", "--gate", "cascade=none", "seed=5")
    return command("validate", *words, cwd=data), folder / "out"


def test_a_broken_candidate_is_rejected_at_the_gate(rejected):
    done, folder = rejected
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("REJECT ")
    assert done.stdout.rstrip().endswith(str(folder / "report.html"))
    assert "Traceback" not in done.stderr


def test_a_run_leaves_whole_files_and_nothing_else(rejected):
    _, folder = rejected
    shown = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".vr"))
    assert shown == ["report.html", "report.json", "row_scores.parquet"]
    assert pq.read_metadata(folder / "row_scores.parquet").num_rows == ROWS
    report = ValidationReport.model_validate_json((folder / "report.json").read_bytes())
    assert report.run.seed == 5
    assert report.run.configuration["cascade"]["preset"] == "none"


def test_the_same_command_over_a_finished_run_does_nothing(rejected, data):
    _, folder = rejected
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
    words = ("broken.parquet", "-r", "reference.parquet", "-o", folder, "cascade=none", "seed=5")
    done = command("validate", *words, cwd=data)
    assert done.returncode == 0
    assert "already holds this run, finished; --force runs it again" in done.stderr
    assert done.stdout.startswith("REJECT ")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_folder_of_another_run_is_refused(rejected, data):
    _, folder = rejected
    words = ("broken.parquet", "-r", "reference.parquet", "-o", folder, "cascade=none", "seed=6")
    done = command("validate", *words, cwd=data)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--force" in done.stderr


def test_command_python_and_frames_give_one_report(rejected, data):
    stored = json.loads((rejected[1] / "report.json").read_text())
    from_paths = vr.validate(
        data / "broken.parquet", data / "reference.parquet", config={"cascade": "none"}, overrides=["seed=5"]
    )
    assert isinstance(from_paths, vr.ValidationReport)
    # The command ran in the data's folder, so it knew the files by shorter names.
    assert but_run(from_paths, "dataset", "reference") == but_run(stored, "dataset", "reference")
    assert from_paths.dataset.fingerprint == stored["dataset"]["fingerprint"]
    candidate, reference = (pq.read_table(data / f"{name}.parquet") for name in ("broken", "reference"))
    frames = {"pyarrow": (candidate, reference), "pandas": (candidate.to_pandas(), reference.to_pandas())}
    frames["polars"] = (pl.DataFrame(candidate), pl.DataFrame(reference))
    for name, (first, second) in frames.items():
        report = vr.validate(first, second, config={"cascade": "none", "seed": 5})
        assert report.risk_score == from_paths.risk_score, name
        assert {key: item.score for key, item in report.dimensions.items()} == {
            key: item.score for key, item in from_paths.dimensions.items()
        }, name


def test_json_on_stdout_is_the_report_and_nothing_else(data, tmp_path):
    words = ("fresh.parquet", "-r", "reference.parquet", "-o", tmp_path / "out", "--json", "--no-html", "cascade=none")
    done = command("validate", *words, cwd=data)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "report.json").read_text())
    assert not (tmp_path / "out" / "report.html").exists()
    assert "profile" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("junk.parquet", "-r", "reference.parquet"), 3, "junk.parquet"),
        (("absent.parquet", "-r", "reference.parquet"), 3, "absent.parquet"),
        (("fresh.parquet", "-r", "absent.parquet"), 3, "absent.parquet"),
        (("fresh.parquet", "--format", "perquet"), 2, "perquet"),
        (("fresh.parquet", "-o", "junk.parquet", "cascade=none"), 2, "junk.parquet: is a file, not a folder"),
    ],
)
def test_bad_input_is_one_line(data, words, code, text):
    done = command("validate", "--output", data / "never", *words, "--quiet", cwd=data)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr
    assert done.stdout == ""
    assert not list(data.glob("never/*.*"))


def test_without_a_reference_the_report_says_what_is_missing(data):
    report = vr.validate(data / "fresh.parquet", config={"cascade": "none"})
    assert report.reference is None
    assert report.verdict == "review"
    assert "generalization_gap" in report.not_measured


def test_progress_is_told(data):
    stages = []
    vr.validate(
        data / "fresh.parquet",
        data / "reference.parquet",
        config=Config(seed=2, cascade=vr_none()),
        progress=lambda event: stages.append(event.stage),
    )
    assert {"profile", "statistics", "report"} <= set(stages)


def vr_none():
    from vr.cascade.config import preset

    return preset("none")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"candidate": "absent.parquet"}, DataError),
        ({"candidate": None}, ConfigError),
        ({"candidate": "absent.parquet", "config": {"sed": 1}}, ConfigError),
        ({"candidate": "absent.parquet", "overrides": ["seed=x"]}, ConfigError),
        ({"candidate": 3}, DataError),
        ({"candidate": pd.DataFrame()}, DataError),
    ],
)
def test_the_python_call_raises_typed_errors(arguments, error):
    with pytest.raises(error):
        vr.validate(**arguments)


def test_column_types_hold_for_both_datasets(data):
    report = vr.validate(
        data / "fresh.parquet", data / "reference.parquet", overrides=["cascade=none", "data.types.n=categorical"]
    )
    assert report.reference is not None
    for section in (report.dataset, report.reference):
        assert {column.name: column.kind for column in section.columns}["n"] == "categorical"


def test_a_sweep_runs_every_seed_in_a_folder_of_its_own(data, repository, tmp_path):
    words = (f"data.uri={data}/fresh.parquet", f"reference.uri={data}/reference.parquet", "cascade=none", "seed=1,2")
    done = python("-m", "experiments.validate", "-m", *words, f"hydra.sweep.dir={tmp_path}/sweep", cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr
    for number, seed in enumerate((1, 2)):
        folder = tmp_path / "sweep" / str(number)
        report = ValidationReport.model_validate_json((folder / "report.json").read_bytes())
        assert report.run.seed == seed
        assert (folder / "report.html").exists()
        assert (folder / "row_scores.parquet").exists()
        provenance = json.loads((folder / "run.json").read_text())
        assert provenance["configuration"]["seed"] == seed
        assert provenance["versions"]["vr"] == vr.__version__
        assert (folder / ".hydra" / "config.yaml").exists()


def test_an_experiment_fails_in_one_line(data, repository, tmp_path):
    words = (f"data.uri={data}/junk.parquet", f"hydra.run.dir={tmp_path}/run")
    done = python("-m", "experiments.validate", *words, cwd=repository)
    assert done.returncode != 0
    assert "error: " in done.stderr
    assert "junk.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_experiment_refuses_a_misspelt_key_before_it_runs(data, repository, tmp_path):
    words = (f"data.uri={data}/fresh.parquet", "sede=3", f"hydra.run.dir={tmp_path}/run")
    done = python("-m", "experiments.validate", *words, cwd=repository)
    assert done.returncode != 0
    assert "'sede'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_tracked_run_is_the_same_run(rejected, data, tmp_path):
    words = (
        "broken.parquet",
        "-r",
        "reference.parquet",
        "-o",
        tmp_path / "out",
        "cascade=none",
        "seed=5",
        "tracking=wandb",
    )
    done = command("validate", *words, cwd=data)
    assert done.returncode == 0, done.stderr
    stored = json.loads((rejected[1] / "report.json").read_text())
    assert but_run(json.loads((tmp_path / "out" / "report.json").read_text())) == but_run(stored)
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*/*.wandb"))
    assert "wandb:" not in done.stdout


def test_a_profile_describes_one_dataset(data, tmp_path):
    done = command("profile", "fresh.parquet", "-o", tmp_path / "out", "data.types.n=categorical", "-q", cwd=data)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"fresh.parquet: {ROWS:,} rows, 4 columns, parquet" in done.stdout
    assert "REJECT" not in done.stdout
    document = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert {column["name"]: column["kind"] for column in document["dataset"]["columns"]}["n"] == "categorical"

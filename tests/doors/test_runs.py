"""The doors onto the real pipeline: one run, whichever way it is asked for."""

import gc
import json
import resource
import signal
import subprocess
import sys
import threading
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
from vr.session import configure, run

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


def test_files_of_no_run_are_refused_until_forced(data, tmp_path):
    mine = tmp_path / "report.html"
    mine.write_text("mine")
    words = ("fresh.parquet", "-r", "reference.parquet", "-o", tmp_path, "cascade=none", "--quiet")
    done = command("validate", *words, cwd=data)
    assert done.returncode == 2
    assert one_line(done).startswith(f"error: {mine}: is there already and belongs to no run of vr")
    assert mine.read_text() == "mine"
    assert command("validate", *words, "--force", cwd=data).returncode == 0
    assert leftovers(tmp_path) == FINISHED


FINISHED = [".vr/finished", "report.html", "report.json", "row_scores.parquet"]
# Small batches, so that rows are still being scored while the signal is on its way.
SMOKE = ("fresh.parquet", "-r", "reference.parquet", "cascade=smoke", "data.batch_rows=16")


def leftovers(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


def stopped(stage: str, number: signal.Signals, *words: object, cwd: Path) -> tuple[int, str]:
    """Runs the command, sends it a signal at the first line of `stage`, and returns its exit code and last line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vr", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(stage):
                process.send_signal(number)
                break
        _, printed = process.communicate()
    finally:
        watchdog.cancel()
    return process.returncode, printed.splitlines()[-1] if printed else ""


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = command("validate", *SMOKE, "-o", folder, cwd=data)
    assert done.returncode == 0, done.stderr
    return but_run(json.loads((folder / "report.json").read_text()))


@pytest.mark.parametrize(
    ("number", "stage"),
    [(signal.SIGKILL, "cascade"), (signal.SIGKILL, "localize"), (signal.SIGTERM, "localize")],
    ids=["killed in the cascade", "killed while scoring", "terminated while scoring"],
)
def test_a_stopped_run_goes_on_and_leaves_nothing_half_written(uninterrupted, data, tmp_path, number, stage):
    words = ("validate", *SMOKE, "-o", tmp_path / "out")
    code, last = stopped(stage, number, *words, cwd=data)
    if number is signal.SIGTERM:
        assert (code, last) == (130, "interrupted; the same command resumes")
    else:
        assert code == -signal.SIGKILL
    left = leftovers(tmp_path / "out")
    assert [name for name in left if not name.startswith(".vr/")] == []
    assert any(name.startswith(".vr/tmp/row_scores.parquet") for name in left) == (
        (number, stage) == (signal.SIGKILL, "localize")
    )
    done = command(*words, cwd=data)
    assert done.returncode == 0, done.stderr
    assert but_run(json.loads((tmp_path / "out" / "report.json").read_text())) == uninterrupted
    assert leftovers(tmp_path / "out") == FINISHED
    # What was trained before the signal is not trained again.
    assert ("seed 1 of" in done.stderr) == (stage == "cascade")


def test_a_forced_run_that_is_stopped_leaves_the_old_result(data, tmp_path):
    words = ("validate", *SMOKE, "-o", tmp_path / "out", "cascade=none")
    assert command(*words, cwd=data).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    code, _ = stopped("localize", signal.SIGKILL, *words, "--force", cwd=data)
    assert code == -signal.SIGKILL
    assert {path: path.read_bytes() for path in before} == before
    done = command(*words, cwd=data)
    assert "already holds this run, finished" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


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
    assert text in one_line(done)
    assert not (data / "never").exists()


def test_input_that_fails_late_leaves_nothing_and_can_be_mended(data, tmp_path):
    candidate = tmp_path / "candidate.parquet"
    whole = (data / "fresh.parquet").read_bytes()
    # The footer is whole, so the file opens; what is wrong is found by the pass, when the folder is there.
    candidate.write_bytes(whole[:4] + bytes(2_000) + whole[2_004:])
    words = (candidate, "-r", "reference.parquet", "-o", tmp_path / "out", "cascade=none", "--quiet")
    done = command("validate", *words, cwd=data)
    assert done.returncode == 3
    assert str(candidate) in one_line(done)
    assert leftovers(tmp_path / "out") == [".vr/begun"]
    candidate.write_bytes(whole)
    done = command("validate", *words, cwd=data)
    assert done.returncode == 0, done.stderr
    assert leftovers(tmp_path / "out") == FINISHED


@pytest.mark.parametrize("name", ["validate", "profile"])
def test_an_output_inside_the_dataset_is_refused(data, tmp_path, name):
    for part in ("fresh", "reference"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.parquet").write_bytes((data / f"{part}.parquet").read_bytes())
    before = leftovers(tmp_path)
    for words in (("fresh", "-o", "fresh"), (".", "-o", "outputs/x"), ("*/*.parquet", "-o", "out")):
        done = command(name, *words, "--quiet", cwd=tmp_path)
        assert done.returncode == 2
        assert f"{words[2]}: lies inside the dataset {words[0]}" in one_line(done)
    if name == "validate":
        done = command(name, "fresh", "-r", "reference", "-o", "reference/out", "--quiet", cwd=tmp_path)
        assert "lies inside the dataset reference" in one_line(done)
        done = command(name, ".", "cascade=none", "--quiet", cwd=tmp_path)
        assert "give an --output outside it" in one_line(done)
    assert leftovers(tmp_path) == before


@pytest.mark.parametrize("output", ["junk.parquet", "junk.parquet/out"])
def test_a_profile_refuses_an_unusable_folder_before_its_pass(data, output):
    done = command("profile", "fresh.parquet", "-o", output, cwd=data)
    assert done.returncode == 2
    assert one_line(done).startswith(f"error: {output}: ")


@pytest.mark.parametrize(
    ("name", "limit", "file"),
    [("validate", 2_000, "row_scores.parquet"), ("validate", 40_000, "report.html"), ("profile", 500, "profile.json")],
)
def test_a_full_disk_is_one_line_that_names_the_file(data, tmp_path, name, limit, file):
    done = subprocess.run(
        [sys.executable, "-B", "-m", "vr", name, "fresh.parquet", "-o", tmp_path, "cascade=none", "--quiet"],
        capture_output=True,
        text=True,
        cwd=data,
        timeout=240,
        # No file may grow beyond this, which fails as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 4, done.stderr
    assert one_line(done).startswith(f"error: {tmp_path / file}: cannot be written (")
    assert [path for path in leftovers(tmp_path) if not path.startswith(".vr/")] == []


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
    # Over a finished run there is nothing to track.
    done = command("validate", *words, cwd=data)
    assert "already holds this run" in done.stderr
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 1


def test_a_profile_describes_one_dataset(data, tmp_path):
    done = command("profile", "fresh.parquet", "-o", tmp_path / "out", "data.types.n=categorical", "-q", cwd=data)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"fresh.parquet: {ROWS:,} rows, 4 columns, parquet" in done.stdout
    assert "REJECT" not in done.stdout
    document = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert {column["name"]: column["kind"] for column in document["dataset"]["columns"]}["n"] == "categorical"


def test_what_a_run_needs_is_loaded_before_it_says_so(data):
    told = []
    config = configure(None, ["cascade=none"])
    run(
        str(data / "fresh.parquet"),
        str(data / "reference.parquet"),
        config,
        progress=lambda event: told.append(event.stage),
        on_loaded=lambda: told.append(("vr.pipeline.validate" in sys.modules, gc.isenabled())),
    )
    assert gc.isenabled()
    assert [each for each in told if isinstance(each, tuple)] == [told[0]] == [(True, False)]

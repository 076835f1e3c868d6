"""A real offline W&B run, read back from its own file."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.sample_report import reject
from tests.telemetry.wandb_file import records
from vr.telemetry.curves import mean_curves

REPORT = reject()

SCRIPT = """
import sys
from pathlib import Path
from tests.pipeline.sample_report import reject
from vr.pipeline.config import Config, TrackerKind
from vr.pipeline.progress import Event
from vr.telemetry.background import tracking

folder, mode = Path(sys.argv[1]), sys.argv[2]
config = Config(seed=11)
config.tracking.kind = TrackerKind.wandb
config.tracking.mode = mode
config.tracking.timeout_s = float(sys.argv[3])
report = reject()
report.save(folder / "report.html")
with tracking(config, folder) as tracker:
    tracker.log(Event("cascade", 1, 4, values={"cascade/tier_1/log_ratio": 0.25}))
    tracker.log(Event("cascade", 2, 4, "no numbers here"))
    tracker.finish(report, folder)
print("abandoned" if tracker.abandoned else "told")
"""


def track(
    root: Path, repository: Path, mode: str, timeout_s: float, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Tracks a run in a process of its own, since W&B leaves a service and patched streams behind."""
    folder = root / "run"
    folder.mkdir()
    own = {f"WANDB_{name}_DIR": str(root / name) for name in ("DATA", "CACHE", "CONFIG", "ARTIFACT")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), mode, str(timeout_s)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=repository,
        env=kept | own | {"HOME": str(root)} | environment,
    )


@pytest.fixture(scope="module")
def offline(tmp_path_factory, repository):
    root = tmp_path_factory.mktemp("wandb")
    done = track(root, repository, "offline", 60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "told\n", done.stderr
    (file,) = (root / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    return root, records(file)


def test_configuration_is_logged(offline):
    _, found = offline
    (run,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    configuration = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert run.project == "vr"
    assert configuration["seed"] == 11
    assert configuration["cascade"]["preset"] == "laptop"
    assert configuration["tracking"]["kind"] == "wandb"


def history(found) -> list[dict[str, float]]:
    rows = [record.history.item for record in found if record.WhichOneof("record_type") == "history"]
    return [{"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row} for row in rows]


def test_progress_numbers_are_logged_and_empty_events_are_not(offline):
    _, found = offline
    rows = [row for row in history(found) if "progress/cascade" in row]
    assert [(row["progress/cascade"], row["cascade/tier_1/log_ratio"]) for row in rows] == [(1, 0.25)]


def test_loss_curves_of_both_arms_are_logged_by_tier(offline):
    _, found = offline
    curves = mean_curves(REPORT)
    assert len(curves) == 3
    for tier, arms in curves.items():
        rows = [row for row in history(found) if f"loss/{tier}/rows" in row]
        for arm, curve in arms.items():
            logged = [
                (row[f"loss/{tier}/rows"], row[f"loss/{tier}/{arm}"]) for row in rows if f"loss/{tier}/{arm}" in row
            ]
            assert logged == curve


def test_scores_are_the_summary(offline):
    _, found = offline
    summary = {}
    for record in found:
        if record.WhichOneof("record_type") == "summary":
            summary |= {
                item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update
            }
    assert summary["verdict"] == "reject"
    assert summary["risk_score"] == REPORT.risk_score
    for name, dimension in REPORT.dimensions.items():
        assert summary.get(f"dimension/{name}") == dimension.score


def test_the_report_is_an_artifact(offline):
    root, found = offline
    artifacts = [record.request.log_artifact.artifact for record in found if record.request.HasField("log_artifact")]
    artifacts += [record.artifact for record in found if record.WhichOneof("record_type") == "artifact"]
    (artifact,) = artifacts
    entries = {entry.path: entry for entry in artifact.manifest.contents}
    assert artifact.type == "report"
    assert set(entries) == {"report.html", "report.json"}
    assert json.loads(Path(entries["report.json"].local_path).read_text()) == REPORT.to_dict()
    assert Path(entries["report.json"].local_path).is_relative_to(root)


def test_the_run_is_closed_as_finished(offline):
    _, found = offline
    assert [record.exit.exit_code for record in found if record.WhichOneof("record_type") == "exit"] == [0]


def test_a_server_that_cannot_be_reached_stops_nothing(tmp_path, repository):
    # Port 9 of this machine: nobody listens, nothing leaves.
    done = track(tmp_path, repository, "online", 2, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY="0" * 40)
    assert done.returncode == 0
    assert done.stdout == "abandoned\n"
    assert "the tracker did not start within 2 s" in done.stderr or "the tracker failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_accepts_and_never_answers_stops_nothing(tmp_path, repository):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = track(tmp_path, repository, "online", 2, WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40)
    assert done.returncode == 0
    assert done.stdout == "abandoned\n"
    assert "2 of 2 events did not reach the tracker" in done.stderr
    assert "Traceback" not in done.stderr

"""A worker from outside: its metrics on a port of their own, and its traces at a collector."""

import re
import urllib.request

from tests.server.collector import attributes_of, collecting
from tests.worker.worker_process import Worker, until


def metrics_of(worker: Worker) -> dict[str, float]:
    port = int(re.search(r"metrics on port (\d+)", worker.log())[1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_jobs_calls_and_stages_are_counted_and_traced(orchestrator, data, tmp_path):
    with collecting() as collector:
        words = ("worker.metrics_port=0", f"worker.traces={collector.url}")
        with Worker(orchestrator, tmp_path / "w", *words) as worker:
            orchestrator.submit("good", str(data / "fresh.parquet"), str(data / "reference.parquet"))
            orchestrator.submit("bad", str(data / "absent.parquet"))
            assert orchestrator.wait("good") == "done"
            assert orchestrator.wait("bad") == "failed"
            until(lambda: metrics_of(worker)["vr_jobs_running"] == 0)
            found = metrics_of(worker)
            worker.terminate()
            assert worker.process.wait(120) == 0
        attempts = [attributes_of(span) for span in collector.spans if span.name == "attempt"]
        names = collector.names()
    assert found['vr_jobs_total{end="complete",reason=""}'] == 1
    assert found['vr_jobs_total{end="fail",reason="DATASET_UNAVAILABLE"}'] == 1
    assert found["vr_leases_total"] == 2
    assert found['vr_orchestrator_calls_total{code="OK",method="Complete"}'] == 1
    assert found["vr_orchestrator_answering"] == 1
    assert found["vr_spooled"] == 0
    assert found['vr_stage_seconds_count{stage="profile"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("vr_verdicts_total")) == 1
    assert {each["vr.job_id"]: each["vr.end"] for each in attempts} == {"good": "complete", "bad": "fail"}
    assert {"compute", "stage profile", "stage report"} <= set(names)

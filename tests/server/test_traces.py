"""Traces and stage metrics: of the parts, and of a server whose spans a collector on loopback receives."""

import socket
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.server.collector import attributes_of, collecting
from tests.server.service_process import running
from tests.server.test_service import metrics_of
from vr.core.errors import ConfigError
from vr.server._generated.vr.v1 import job_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine
from vr.server.metrics import Work
from vr.server.stages import StageWatch
from vr.server.traces import Traces, check_collector

TRACE, CALLER = 32 * "a", 16 * "b"


def event(stage: str, pace: float | None = None) -> dict:
    training = None if pace is None else {"rows_per_second": pace, "busy": 0.5}
    return {"stage": stage, "training": training}


def values(work: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(work).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class TestStages:
    def test_each_stage_is_timed_once_and_a_strange_one_makes_no_series(self):
        registry = CollectorRegistry()
        work = Work(registry)
        with StageWatch(work, Traces()) as watch:
            for stage in ("begin", "profile", "profile", "cascade", "profile", "a stage of a newer child"):
                watch(event(stage))
        found = values(registry)
        counts = {name: value for name, value in found.items() if name.startswith("vr_stage_seconds_count")}
        assert counts == {
            'vr_stage_seconds_count{stage="begin"}': 1,
            'vr_stage_seconds_count{stage="profile"}': 2,
            'vr_stage_seconds_count{stage="cascade"}': 1,
        }

    def test_paces_add_up_and_end_with_the_stage(self):
        registry = CollectorRegistry()
        work = Work(registry)
        with StageWatch(work, Traces()) as one, StageWatch(work, Traces()) as other:
            one(event("cascade", 100.0))
            other(event("cascade", 50.0))
            other(event("cascade", 60.0))
            assert values(registry)["vr_training_rows_per_second"] == 160
            assert values(registry)["vr_device_busy"] == 0.5
            one(event("statistics"))
            assert values(registry)["vr_training_rows_per_second"] == 60
        assert values(registry)["vr_training_rows_per_second"] == 0
        assert values(registry)["vr_device_busy"] == 0


class TestSpans:
    def test_they_nest_below_the_callers(self):
        with collecting() as collector:
            traces = Traces.of(collector.url, "vr-test")
            caller = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            with traces.span("DetectCollapse", caller, rpc__system="grpc"):
                with (
                    traces.span("compute", vr__validation_id="v1"),
                    StageWatch(Work(CollectorRegistry()), traces) as at,
                ):
                    at(event("profile"))
                    at(event("report"))
                with pytest.raises(KeyError), traces.span("fails"):
                    raise KeyError("/a/path/of/a/tenant")
            traces.close()
        call, compute = collector.named("DetectCollapse"), collector.named("compute")
        assert collector.services == {"vr-test"}
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
        assert call.parent_span_id.hex() == CALLER
        assert compute.parent_span_id == call.span_id
        assert collector.named("stage profile").parent_span_id == compute.span_id
        assert collector.named("stage report").parent_span_id == compute.span_id
        assert attributes_of(call) == {"rpc.system": "grpc"}
        assert attributes_of(compute) == {"vr.validation_id": "v1"}
        failed = collector.named("fails")
        assert (failed.status.code, failed.status.message, len(failed.events)) == (2, "KeyError", 0)

    @pytest.mark.slow
    def test_a_collector_that_is_away_costs_seconds_at_most(self):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            traces = Traces.of(f"http://127.0.0.1:{held.getsockname()[1]}", "vr-test")
            begun = time.monotonic()
            for _ in range(5_000):
                with traces.span("call"):
                    pass
            traces.close()
        assert time.monotonic() - begun < 60

    def test_off_a_span_is_nothing(self):
        traces = Traces.of(None, "vr-test")
        with traces.span("call", {"traceparent": "x"}) as notes:
            notes.add(vr__reason="X")
        assert traces.begin("stage") is None
        traces.close()

    @pytest.mark.parametrize("place", ["127.0.0.1:4318", "ftp://x", "http://user:secret@x:1", "http://x?key=1"])
    def test_what_is_no_collector(self, place):
        with pytest.raises(ConfigError, match=r"server\.traces: is no address"):
            check_collector(place, "server.traces")


def test_a_server_that_is_traced(tmp_path, data):
    job = job_pb2.Job(
        candidate=job_pb2.Dataset(uri=str(data / "broken.parquet")),
        reference=job_pb2.Dataset(uri=str(data / "reference.parquet")),
        settings=job_pb2.Settings(cascade="none"),
    )
    request = engine.ValidateRequest(job=job).SerializeToString()
    with collecting() as collector:
        words = (f"server.traces={collector.url}", "server.children=1", "cascade=none", "server.metrics_port=0")
        with running(tmp_path, *words, f"server.roots=[{data}]") as server, server.channel as channel:
            headers = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)
            channel.unary_unary("/vr.v1.CollapseEngine/DetectCollapse")(request, metadata=headers, timeout=300)
            messages = channel.unary_stream("/vr.v1.ValidationEngine/Validate")(request, timeout=300)
            assert len(list(messages)) > 2
            found = metrics_of(server)
        # Sent at the latest when the server stops.
        calls = {span.name: span for span in collector.spans if span.name in ("DetectCollapse", "Validate")}
        computed = [span for span in collector.spans if span.name == "compute"]
    assert calls["DetectCollapse"].trace_id.hex() == TRACE
    assert {span.parent_span_id for span in computed} == {span.span_id for span in calls.values()}
    assert {"queue", "stage profile", "stage statistics", "stage report"} <= set(collector.names())
    text = str([attributes_of(span) for span in collector.spans])
    assert str(data) not in text
    assert found['vr_stage_seconds_count{stage="profile"}'] == 2
    assert found["vr_compute_seconds_count"] == 2

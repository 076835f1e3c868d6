"""The service over a socket: every call against `vr.validate` on the same inputs, and every way to be refused."""

import json
import socket
import time
import urllib.request

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.server.service_process import (
    ROOT,
    TINY,
    details_of,
    slow_job,
    stream,
    until,
    without_nulls,
)
from vr.client import Client, Job, ServiceError
from vr.server._generated.vr.v1 import collapse_engine_pb2 as collapse
from vr.server._generated.vr.v1 import job_pb2, report_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine


@pytest.fixture(scope="module")
def client(server):
    with Client(server.address, timeout=300) as it:
        yield it


@pytest.fixture(scope="module")
def work(data) -> Job:
    return Job(data / "broken.parquet", data / "reference.parquet", seed=3, overrides=TINY)


@pytest.fixture(scope="module")
def trained(client, work):
    """Progress, id and results of a TrainCascade that was run to its end."""
    events = []
    return events, client.train_cascade(work, progress=events.append)


@pytest.fixture(scope="module")
def untrained(data) -> Job:
    return Job(data / "broken.parquet", data / "reference.parquet", seed=3, cascade="none")


@pytest.fixture(scope="module")
def whole(data) -> dict:
    """What `vr.validate` says of the same without a cascade."""
    import vr

    pair = [str(data / "broken.parquet"), str(data / "reference.parquet")]
    return vr.validate(*pair, overrides=["cascade=none", "seed=3"]).to_dict()


@pytest.fixture(scope="module")
def found(client, untrained):
    return client.detect_collapse(untrained)


def call(server, method: str, message: bytes, *, metadata=(), timeout: float = 300):
    with server.channel as channel:
        return channel.unary_unary(f"/vr.v1.{method}")(message, metadata=metadata, timeout=timeout)


def refused(server, method: str, message: bytes, **options) -> tuple[str, dict]:
    with pytest.raises(grpc.RpcError) as caught:
        call(server, method, message, **options)
    return caught.value.code().name, details_of(caught.value)


def junk_request(data) -> bytes:
    job = job_pb2.Job(candidate=job_pb2.Dataset(uri=str(data / "junk.parquet")))
    return engine.ValidateRequest(job=job).SerializeToString()


def metrics_of(server) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def finished_validations(server) -> float:
    return sum(value for name, value in metrics_of(server).items() if name.startswith("vr_verdicts_total"))


class TestSameAsDirect:
    """Every field of every answer is that of the report."""

    def test_the_cascade(self, trained, direct):
        _, results = trained
        expected = direct.to_dict()
        assert without_nulls(results.model_dump(mode="json")["cascade"]) == without_nulls(expected["cascade"])
        assert without_nulls(results.scaling) == without_nulls(expected["scaling"])

    def test_the_whole_report(self, client, trained, direct):
        report, expected = client.validate(trained[1].validation_id).to_dict(), direct.to_dict()
        report.pop("run"), expected.pop("run")
        assert report.keys() == expected.keys()
        assert list(report["dimensions"]) == list(expected["dimensions"])
        for name in expected:
            assert without_nulls(report[name]) == without_nulls(expected[name]), name

    @pytest.mark.parametrize(
        "method",
        ["analyze_diversity", "pre_screen_risk", "get_predictions", "detect_collapse", "localize_problems"],
    )
    def test_the_parts(self, client, trained, direct, method):
        answer = getattr(client, method)(trained[1].validation_id).model_dump(mode="json")
        expected = direct.to_dict()
        shared = answer.keys() & expected.keys()
        assert len(shared) >= 1
        for name in shared:
            assert without_nulls(answer[name]) == without_nulls(expected[name]), name

    def test_recommendations_and_the_plan(self, client, trained, direct):
        answer, expected = client.generate_recommendations(trained[1].validation_id), direct.to_dict()
        assert [each.model_dump(mode="json") for each in answer.recommendations] == expected["recommendations"]
        assert answer.fix_plan == [each["action"] for each in expected["recommendations"]]

    def test_what_is_not_measured_says_so(self, client, trained):
        id = trained[1].validation_id
        part = client.analyze_diversity(id).sample
        assert part.status.value == "not_measured"
        assert part.reason

    def test_the_impact_of_all_recommendations_is_that_of_all_at_once(self, client, trained, direct):
        found = client.generate_recommendations(trained[1].validation_id).combined_impact
        every = max(direct.remedies.together, key=lambda each: len(each.priorities))
        assert (found.status.value, found.priorities) == ("measured", every.priorities)
        assert len(found.priorities) > 1
        assert found.risk_score == every.expected_risk_score.value
        assert found.interval == every.expected_risk_score

    def test_shares_of_the_causes_sum_to_one(self, client, trained):
        causes = client.detect_collapse(trained[1].validation_id).root_causes
        assert sum(cause["share"] or 0 for cause in causes) == pytest.approx(1)

    def test_a_prescreen_trains_nothing(self, client, data):
        answer = client.pre_screen_risk(Job(data / "broken.parquet", data / "reference.parquet"))
        assert answer.calibration.situation == "untrained"
        assert len(answer.signatures) > 1
        assert answer.proceed is (answer.prescreen.answer == "proceed")
        predictions = client.get_predictions(answer.validation_id)
        assert predictions.scaling["predicted_loss"]["value"] is None
        assert "cascade=none" in predictions.scaling["predicted_loss"]["reason"]


class TestVerdictFirst:
    """A call that needs no more computes the verdict; the rest is computed under the same id when it is asked for."""

    def keyed(self, server, method, job, key) -> bytes:
        """Calls a method with a job under a key."""
        return call(server, method, collapse.DetectCollapseRequest(job=job.to_message(key)).SerializeToString())

    def assert_same(self, answer, whole):
        told = answer.model_dump(mode="json")
        shared = told.keys() & whole.keys()
        assert shared
        for name in shared:
            assert without_nulls(told[name]) == without_nulls(whole[name]), name

    def test_the_verdict_is_that_of_the_whole(self, server, client, untrained, whole):
        # One of its own: of the others more is asked.
        found = client.detect_collapse(untrained)
        self.assert_same(found, whole)
        self.assert_same(client.pre_screen_risk(found.validation_id), whole)
        assert client.get_predictions(found.validation_id).risk_score == whole["risk_score"]
        assert client.train_cascade(found.validation_id).cascade.reason == whole["cascade"]["reason"]
        folder = server.store / "local" / found.validation_id
        assert {path.name for path in folder.iterdir()} == {"job.json", "verdict.json", "verdict.lock", "verdict"}
        assert not (folder / "verdict" / "row_scores.parquet").exists()

    def test_the_rest_is_computed_under_its_id_once(self, server, client, found, whole):
        id, before = found.validation_id, finished_validations(server)
        self.assert_same(client.localize_problems(id), whole)
        marks = [each["started"] for each in self.runs(server, id)]
        self.assert_same(client.analyze_diversity(id), whole)
        report = client.validate(id).to_dict()
        # A law that was not fitted has its empty list of points on the wire.
        report["scaling"].pop("points")
        for name in whole.keys() - {"run"}:
            assert without_nulls(report[name]) == without_nulls(whole[name]), name
        self.assert_same(client.generate_recommendations(id), whole)
        # The verdict is still there.
        self.assert_same(client.detect_collapse(id), whole)
        assert [each["started"] for each in self.runs(server, id)] == marks
        # It is one validation, however often it was computed.
        assert finished_validations(server) == before

    def test_a_key_is_that_of_one_validation_however_much_is_asked_for(self, server, untrained, whole):
        before = finished_validations(server)
        first = collapse.DetectCollapseResponse.FromString(
            self.keyed(server, "CollapseEngine/DetectCollapse", untrained, "first")
        )
        assert finished_validations(server) == before + 1
        second = collapse.LocalizeProblemsResponse.FromString(
            self.keyed(server, "CollapseEngine/LocalizeProblems", untrained, "first")
        )
        assert first.validation_id == second.validation_id
        assert second.localization.status == report_pb2.STATUS_MEASURED
        assert [row.row for row in second.localization.rows] == [row["row"] for row in whole["localization"]["rows"]]
        assert finished_validations(server) == before + 1

    def runs(self, server, id):
        folder = server.store / "local" / id
        return [json.loads((folder / name / "report.json").read_text())["run"] for name in ("verdict", "report")]

    def test_what_trains_is_computed_whole_at_once(self, server, client, work):
        id = client.detect_collapse(work).validation_id
        assert not (server.store / "local" / id / "verdict.json").exists()
        assert client.get_predictions(id).scaling["predicted_loss"]["value"] is not None

    def test_what_fails_fails_for_all(self, server, client, data):
        with pytest.raises(ServiceError) as caught:
            client.detect_collapse(Job(data / "junk.parquet", cascade="none"))
        id = caught.value.metadata["validation_id"]
        for ask in (client.localize_problems, client.validate, client.detect_collapse):
            with pytest.raises(ServiceError) as again:
                ask(id)
            assert (again.value.code, again.value.reason) == ("INVALID_ARGUMENT", "BAD_DATA")
        assert not (server.store / "local" / id / "state.json").exists()
        assert client.cancel_validation(id) == "failed"


class TestProgress:
    def test_it_tells_of_every_tier(self, trained):
        events, _ = trained
        assert {"profile", "cascade", "statistics"} <= {event.stage for event in events}
        training = [event.training for event in events if event.training is not None]
        assert {each.tier for each in training} == {"one", "two"}
        assert any(each.loss is not None and each.rows_per_second for each in training)

    def test_numbers_of_another_server_hide_nothing(self, server, trained):
        request = engine.ValidateRequest(validation_id=trained[1].validation_id, after_sequence=2**64 - 1)
        with server.channel as channel:
            last = [*stream(server, request, channel)][-1]
        assert last.WhichOneof("event") == "report"

    def test_a_stream_that_breaks_stops_nothing_and_is_attached_to_again(self, server, data, client):
        job = slow_job(data, idempotency_key="breaks")
        with server.channel as channel:
            first = stream(server, engine.ValidateRequest(job=job), channel)
            messages = [next(first) for _ in range(4)]
        id, last = messages[-1].validation_id, messages[-1].sequence
        with server.channel as channel:
            again = stream(server, engine.ValidateRequest(validation_id=id, after_sequence=last), channel)
            # The first message says where it stands; what follows was not told before.
            next(again)
            assert next(again).sequence > last
            # The same key is the same validation.
            assert next(stream(server, engine.ValidateRequest(job=job), channel)).validation_id == id
            self.refused_over_the_limit(server, data, client)
        begun = time.monotonic()
        assert client.cancel_validation(id) == "cancelled"
        assert time.monotonic() - begun < 20
        with pytest.raises(ServiceError) as caught:
            client.validate(id)
        assert caught.value.reason == "CANCELLED"

    def refused_over_the_limit(self, server, data, client):
        """Beside one that runs, two may wait; a fourth is refused at once, and health is answered all the while."""
        with server.channel as channel:
            requests = [engine.ValidateRequest(job=slow_job(data)) for _ in range(3)]
            waiting = [next(stream(server, each, channel)).validation_id for each in requests[:2]]
            begun = time.monotonic()
            with pytest.raises(grpc.RpcError) as caught:
                next(stream(server, requests[2], channel))
            assert time.monotonic() - begun < 10
            details = details_of(caught.value)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details["ErrorInfo"].reason == "TENANT_JOBS"
            assert details["RetryInfo"].retry_delay.seconds >= 1
            assert details["QuotaFailure"].violations[0].subject == "tenant_jobs"
            check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="liveness"))
            assert check.status == health_pb2.HealthCheckResponse.SERVING
        assert [client.cancel_validation(id) for id in waiting] == ["cancelled"] * 2

    def test_a_key_is_not_for_two_jobs(self, server, untrained):
        job = untrained.to_message("one-of-two")
        call(server, "CollapseEngine/DetectCollapse", collapse.DetectCollapseRequest(job=job).SerializeToString())
        job.settings.seed = 9
        with pytest.raises(grpc.RpcError) as caught, server.channel as channel:
            next(stream(server, engine.ValidateRequest(job=job), channel))
        assert details_of(caught.value)["ErrorInfo"].reason == "KEY_REUSED"


class TestStopping:
    def test_an_expired_unary_call_stops_its_work(self, server, data):
        # Whatever an earlier test ended has been replaced by a child that is warm.
        refused(server, "CollapseEngine/DetectCollapse", junk_request(data))
        request = engine.GetPredictionsRequest(job=slow_job(data)).SerializeToString()
        code, _ = refused(server, "ValidationEngine/GetPredictions", request, timeout=3)
        assert code == "DEADLINE_EXCEEDED"
        # Its child has left it, or is gone.
        until(lambda: metrics_of(server)['vr_validations{state="running"}'] == 0)
        until(lambda: metrics_of(server)['vr_inflight{method="GetPredictions"}'] == 0)

    @pytest.mark.slow
    def test_a_time_limit_stops_the_work_with_a_reason(self, server, data):
        job = slow_job(data)
        job.time_limit.FromMilliseconds(500)
        code, details = refused(
            server, "ValidationEngine/GetPredictions", engine.GetPredictionsRequest(job=job).SerializeToString()
        )
        assert (code, details["ErrorInfo"].reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
        # The child that was at it has left it, or is gone: the next answer is of the next question.
        _, details = refused(server, "CollapseEngine/DetectCollapse", junk_request(data))
        assert details["ErrorInfo"].reason == "BAD_DATA"


class TestRefusals:
    """Every error is of the table, and none says anything of the server's disk."""

    @pytest.mark.parametrize(
        ("method", "message", "code", "reason"),
        [
            ("CollapseEngine/DetectCollapse", b"\xff\xff\xff", "INVALID_ARGUMENT", "MALFORMED_MESSAGE"),
            ("CollapseEngine/DetectCollapse", b"", "INVALID_ARGUMENT", "BAD_REQUEST"),
            ("CollapseEngine/NoSuchMethod", b"", "UNIMPLEMENTED", "UNKNOWN_METHOD"),
            ("NoSuchService/Method", b"", "UNIMPLEMENTED", "UNKNOWN_METHOD"),
            ("CollapseEngine/DetectCollapse", b"\x0a\x21v" + b"0" * 32, "NOT_FOUND", "VALIDATION_NOT_FOUND"),
            ("ValidationEngine/CancelValidation", b"\x0a\x21v" + b"0" * 32, "NOT_FOUND", "VALIDATION_NOT_FOUND"),
            ("ValidationEngine/CancelValidation", b"\x0a\x03../", "INVALID_ARGUMENT", "BAD_REQUEST"),
        ],
    )
    def test_reasons(self, server, method, message, code, reason):
        found, details = refused(server, method, message)
        assert (found, details["ErrorInfo"].reason, details["ErrorInfo"].domain) == (code, reason, "vr")

    def test_every_wrong_field_is_named_at_once(self, server):
        job = job_pb2.Job(
            candidate=job_pb2.Dataset(uri="", types={"a": "colour"}),
            settings=job_pb2.Settings(overrides=["tracking.kind=wandb", "detector.x=${oc.env:HOME}"]),
            idempotency_key="a key with spaces",
        )
        _, details = refused(
            server, "CollapseEngine/DetectCollapse", engine.ValidateRequest(job=job).SerializeToString()
        )
        fields = {each.field for each in details["BadRequest"].field_violations}
        assert fields == {
            "job.candidate.uri",
            "job.candidate.types[a]",
            "job.settings.overrides[0]",
            "job.settings.overrides[1]",
            "job.idempotency_key",
        }

    def test_forbidden_and_absent_are_told_by_the_same_words(self, server, data):
        found = []
        for name in ("absent.parquet", "../secret.parquet", "link.parquet", "parts"):
            job = job_pb2.Job(candidate=job_pb2.Dataset(uri=f"{data}/{name}"))
            job.settings.cascade = "none"
            with pytest.raises(grpc.RpcError) as caught:
                call(server, "CollapseEngine/DetectCollapse", engine.ValidateRequest(job=job).SerializeToString())
            details = details_of(caught.value)
            details["ErrorInfo"].ClearField("metadata")
            found.append((caught.value.code(), caught.value.details(), [str(each) for each in details.values()]))
        assert found == [found[0]] * len(found)
        assert found[0][0] is grpc.StatusCode.NOT_FOUND

    def test_very_many_wrong_entries_are_refused_with_a_reason(self, server):
        job = job_pb2.Job(candidate=job_pb2.Dataset(uri="/a", types={f"{each:06d}": "x" for each in range(40_000)}))
        job.settings.overrides.extend(["no setting"] * 64)
        code, details = refused(
            server, "CollapseEngine/DetectCollapse", engine.ValidateRequest(job=job).SerializeToString()
        )
        assert (code, details["ErrorInfo"].reason) == ("INVALID_ARGUMENT", "BAD_REQUEST")
        assert int(details["ErrorInfo"].metadata["more_violations"]) > 0

    def test_both_datasets_are_named(self, server):
        job = job_pb2.Job(candidate=job_pb2.Dataset(uri="/nowhere/a"), reference=job_pb2.Dataset(uri="/nowhere/b"))
        _, details = refused(
            server, "CollapseEngine/DetectCollapse", engine.ValidateRequest(job=job).SerializeToString()
        )
        fields = [each.field for each in details["BadRequest"].field_violations]
        assert fields == ["job.candidate.uri", "job.reference.uri"]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda job: job.settings.overrides.append("detector.no_such_key=1"), "BAD_SETTING"),
            (lambda job: setattr(job.settings, "cascade", "gigantic"), "BAD_SETTING"),
            (lambda job: job.settings.overrides.append("sample.rows=3"), "BAD_SETTING"),
            (lambda job: setattr(job.candidate, "uri", job.candidate.uri.replace("broken", "junk")), "BAD_DATA"),
            (lambda job: job.candidate.types.update({"no_such_column": "numeric"}), "BAD_DATA"),
            (lambda job: setattr(job.candidate, "format", "hdf5"), "BAD_DATA"),
            (lambda job: job.settings.targets.append("no_such_column"), "BAD_DATA"),
        ],
    )
    def test_what_a_child_finds_wrong(self, server, data, change, reason):
        job = slow_job(data)
        del job.settings.overrides[:]
        job.settings.cascade = "none"
        change(job)
        request = engine.ValidateRequest(job=job).SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            call(server, "CollapseEngine/DetectCollapse", request)
        details = details_of(caught.value)
        assert details["ErrorInfo"].reason == reason
        assert details["BadRequest"].field_violations[0].field.startswith("job")
        said = caught.value.details() + "".join(map(str, details.values()))
        for secret in (str(data), str(server.store), str(ROOT), "Traceback", "File ", ".py"):
            assert secret not in said

    def test_a_cascade_that_a_call_cannot_have_is_refused(self, server, data, work, client):
        for method, cascade in ((client.pre_screen_risk, "laptop"), (client.train_cascade, "none")):
            with pytest.raises(ServiceError) as caught:
                method(Job(data / "broken.parquet", cascade=cascade))
            assert caught.value.violations.keys() == {"job.settings.cascade"}

    def test_a_message_over_the_limit_is_refused(self, server):
        code, _ = refused(server, "CollapseEngine/DetectCollapse", b"\0" * (33 << 20))
        assert code == "RESOURCE_EXHAUSTED"

    def test_another_protocol_ends_nothing(self, server):
        host, port = server.address.split(":")
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\0" * 200, bytes(range(256)) * 20):
            with socket.create_connection((host, int(port)), 10) as raw:
                raw.sendall(garbage)
                raw.settimeout(5)
                try:
                    said = raw.recv(4096)
                except OSError:
                    said = b""
            assert b"Traceback" not in said
        assert server.process.poll() is None


class TestOpenness:
    @pytest.mark.parametrize("version", ["v1", "v1alpha"])
    def test_a_client_of_reflection_alone_can_drive_it(self, server, data, version):
        """No stub, no .proto: descriptors from the wire, messages made of them."""
        with server.channel as channel:
            ask = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )

            def reflected(**asked):
                return next(ask(iter([reflection_pb2.ServerReflectionRequest(**asked)])))

            names = {each.name for each in reflected(list_services="").list_services_response.service}
            assert {"vr.v1.ValidationEngine", "vr.v1.CollapseEngine", "grpc.health.v1.Health"} <= names
            pool, pending, seen = (
                descriptor_pool.DescriptorPool(),
                [{"file_containing_symbol": "vr.v1.CollapseEngine"}],
                {},
            )
            while pending:
                for raw in reflected(**pending.pop()).file_descriptor_response.file_descriptor_proto:
                    file = descriptor_pb2.FileDescriptorProto.FromString(raw)
                    if file.name not in seen:
                        seen[file.name] = file
                        pending += [{"file_by_filename": name} for name in file.dependency]
            while seen:
                for name, file in list(seen.items()):
                    if not set(file.dependency) & set(seen):
                        pool.Add(seen.pop(name))
            method = pool.FindServiceByName("vr.v1.CollapseEngine").methods_by_name["DetectCollapse"]
            request = message_factory.GetMessageClass(method.input_type)()
            request.job.candidate.uri = str(data / "absent.parquet")
            answer = message_factory.GetMessageClass(method.output_type)
            invoke = channel.unary_unary(
                "/vr.v1.CollapseEngine/DetectCollapse",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer.FromString,
            )
            with pytest.raises(grpc.RpcError) as caught:
                invoke(request)
            assert details_of(caught.value)["ErrorInfo"].reason == "DATASET_UNAVAILABLE"
            request.job.candidate.uri = str(data / "broken.parquet")
            request.job.reference.uri = str(data / "reference.parquet")
            request.job.settings.cascade = "none"
            request.job.idempotency_key = "reflection"
            found = invoke(request)
            assert len(found.dimensions) == 8
            assert found.collapse_detected

    @pytest.mark.parametrize("name", ["", "vr.v1.ValidationEngine", "vr.v1.CollapseEngine", "liveness"])
    def test_health(self, server, name):
        with server.channel as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            until(
                lambda: (
                    stub.Check(health_pb2.HealthCheckRequest(service=name)).status
                    == health_pb2.HealthCheckResponse.SERVING
                )
            )

    def test_metrics_grow_no_series_with_calls(self, server, data):
        counted = []
        for _ in range(2):
            for number in range(30):
                refused(server, "CollapseEngine/DetectCollapse", b"\x0a\x21v" + f"{number:032x}".encode())
                refused(server, f"CollapseEngine/Method{number}", b"")
            metrics = metrics_of(server)
            counted.append(len(metrics))
        assert counted[0] == counted[1]
        assert not [name for name in metrics if "parquet" in name or '"local"' in name]
        assert sum(value for name, value in metrics.items() if name.startswith("vr_inflight{")) == 0

    def test_logs_are_lines_of_json(self, server):
        for line in server.log.read_text().splitlines():
            assert {"at", "level", "event"} <= json.loads(line).keys()

    def test_the_command_prints_the_verdict_of_the_direct_one(self, server, data, capsys):
        import vr
        from vr.cli import main
        from vr.telemetry.summary import summary_lines

        pair = [str(data / "broken.parquet"), str(data / "reference.parquet")]
        words = ["remote", "validate", pair[0], "--reference", pair[1], "cascade=none", "--server", server.address]
        assert main([*words, "--gate"]) in (0, 1)
        printed = capsys.readouterr()
        lines = summary_lines(vr.validate(*pair, overrides=["cascade=none"]), report_path=None)
        assert printed.out.splitlines() == ["".join(text for text, _ in line).rstrip() for line in lines]
        assert "statistics" in printed.err

    def test_targets_reach_the_pipeline_and_the_answer(self, server, data, capsys):
        import vr
        from vr.cli import main

        pair = [str(data / "broken.parquet"), str(data / "reference.parquet")]
        words = ["remote", "validate", pair[0], "--reference", pair[1], "cascade=none", "--server", server.address]
        assert main([*words, "--target", "b", "-q", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        direct = vr.validate(*pair, overrides=["cascade=none", "targets=[b]"])
        assert told["calibration"]["targets"] == direct.calibration.targets == ["b"]
        assert told["risk_score"] == direct.risk_score
        assert told["run"]["configuration"]["targets"] == ["b"]

    def test_the_command_ends_with_the_code_of_the_direct_one(self, server, data, capsys):
        from vr.cli import main

        for path, code in ((data / "junk.parquet", 3), (data / "absent.parquet", 3)):
            assert main(["remote", "validate", str(path), "--server", server.address, "-q"]) == code
        assert main(["remote", "validate", str(data), "detector.nope=1", "--server", server.address, "-q"]) == 2
        assert "Traceback" not in capsys.readouterr().err

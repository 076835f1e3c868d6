"""What a client does about failures, against a real server that fails as it is told to."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from vr.client import Client, ServiceError
from vr.client.calls import Deadline
from vr.core.errors import ConfigError
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine
from vr.server.failures import Failure, to_rpc_status
from vr.server.wire import to_message

ID = "v" + "0" * 32


class Scripted(grpc.GenericRpcHandler):
    """Answers with one step of a script after the other."""

    def __init__(self, *script):
        self.script, self.asked = list(script), []

    def service(self, details):
        if details.method.endswith("Validate"):
            return grpc.unary_stream_rpc_method_handler(self.stream, engine.ValidateRequest.FromString)
        return grpc.unary_unary_rpc_method_handler(self.unary, engine.GetPredictionsRequest.FromString)

    def unary(self, request, context):
        self.asked.append(request)
        step = self.script.pop(0)
        if isinstance(step, Failure):
            context.abort_with_status(to_rpc_status(step))
        return step.SerializeToString()

    def stream(self, request, context):
        self.asked.append(request)
        for step in self.script.pop(0):
            if isinstance(step, Failure):
                context.abort_with_status(to_rpc_status(step))
            yield step.SerializeToString()


@pytest.fixture
def scripted(request):
    """A client of a server that goes through a script."""
    handler = Scripted(*request.param)
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with Client(f"127.0.0.1:{port}", attempts=3, timeout=20) as client:
            yield client, handler
        server.stop(0).wait()


PREDICTION = to_message(
    {"validation_id": ID, "verdict": "review", "collapse_probability": {"value": 0.5, "level": 0.9}, "scaling": {}},
    engine.GetPredictionsResponse,
)


@pytest.mark.parametrize("scripted", [[Failure("DRAINING"), Failure("TOO_MANY_CALLS"), PREDICTION]], indirect=True)
def test_what_may_pass_is_tried_again_no_sooner_than_the_server_says(scripted):
    client, handler = scripted
    begun = time.monotonic()
    assert client.get_predictions(ID).verdict.value == "review"
    assert time.monotonic() - begun >= 2.0
    assert len(handler.asked) == 3


@pytest.mark.parametrize(
    "scripted",
    [[Failure("BAD_DATA", "is empty")], [Failure("OUT_OF_MEMORY")], [Failure("DEADLINE_EXCEEDED")]],
    indirect=True,
)
def test_what_will_not_pass_is_not(scripted):
    client, handler = scripted
    with pytest.raises(ServiceError):
        client.get_predictions(ID)
    assert len(handler.asked) == 1


@pytest.mark.parametrize("scripted", [[Failure("QUEUE_FULL")] * 3], indirect=True)
def test_nothing_is_waited_for_beyond_the_deadline(scripted):
    client, handler = scripted
    begun = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        client.get_predictions(ID, timeout=1)
    assert time.monotonic() - begun < 4
    assert (caught.value.reason, caught.value.retry_s, len(handler.asked)) == ("QUEUE_FULL", 5.0, 1)


def progress(number: int) -> engine.ValidateResponse:
    document = {"validation_id": ID, "sequence": number, "progress": {"stage": "cascade", "done": number}}
    return to_message(document, engine.ValidateResponse)


BREAKS = [[progress(1), progress(2), Failure("DRAINING")], [progress(3), Failure("DRAINING")], [Failure("CANCELLED")]]


@pytest.mark.parametrize("scripted", [BREAKS], indirect=True)
def test_a_stream_goes_on_where_it_broke(scripted, tmp_path):
    from vr.client import Job

    client, handler = scripted
    told = []
    with pytest.raises(ServiceError) as caught:
        client.validate(Job("x.csv"), progress=lambda event: told.append(event.done))
    assert caught.value.reason == "CANCELLED"
    assert told == [1, 2, 3]
    assert handler.asked[0].job.candidate.uri.endswith("/x.csv")
    assert [(each.validation_id, each.after_sequence) for each in handler.asked[1:]] == [(ID, 2), (ID, 3)]


def test_exit_codes_are_those_of_the_command_line():
    error = ServiceError("INVALID_ARGUMENT", "")
    assert error.exit_code == 4
    error.reason = "BAD_DATA"
    assert error.exit_code == 3
    error.reason = "BAD_SETTING"
    assert error.exit_code == 2


def test_a_deadline_never_falls_below_zero():
    assert Deadline(None).left is None
    assert Deadline(0).left == 0.0


def test_a_token_is_not_sent_in_plain_text_beyond_this_machine():
    for target in ("10.0.0.7:50051", "vr.example:50051"):
        with pytest.raises(ConfigError, match="without TLS"):
            Client(target, token="secret")
        Client(target, token="secret", tls=True).close()
        Client(target, token="secret", insecure=True).close()
        Client(target).close()
    for target in ("127.0.0.1:50051", "[::1]:50051", "localhost:50051"):
        Client(target, token="secret").close()

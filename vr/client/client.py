"""The client: one method for each call of the service."""

import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel

from vr.client import results
from vr.client.calls import Deadline, ServiceError, is_transient, retried
from vr.client.connection import Connection
from vr.client.job import Job
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.report import ValidationReport
from vr.server._generated.vr.v1 import collapse_engine_pb2, validation_engine_pb2
from vr.server.wire import to_document

__all__ = ["Client"]

M = TypeVar("M", bound=BaseModel)
_MODULES = {"ValidationEngine": validation_engine_pb2, "CollapseEngine": collapse_engine_pb2}
# A map has no order on the wire, and a report is read from the first dimension to the last.
_DIMENSIONS = (
    "distribution_fidelity",
    "correlation_preservation",
    "entropy_stability",
    "gradient_health",
    "loss_landscape",
    "spectral_coherence",
    "generalization_gap",
    "statistical_consistency",
)


class Client:
    """A connection to a server; close it, or use it in a `with`.

    Every method takes a `Job`, which begins a validation, or the id of one. A job is sent under a key of its own, so
    that a call that is tried again begins nothing twice. All of them raise `vr.client.ServiceError`.

    Raises:
      ConfigError: for a token that would be sent unencrypted beyond this machine.

    Args:
      target: `HOST:PORT`.
      token: Sent as bearer token; needs TLS beyond loopback.
      authority: PEM file of the server's certificate authority; with it, or with `tls`, the connection is encrypted.
      certificate: PEM file of the client's own certificate, for mTLS.
      private_key: Its key.
      tls: Encrypt, trusting what the system trusts.
      insecure: Send a token unencrypted beyond this machine.
      timeout: Seconds for each call, attempts and waits included; None: as long as it takes.
      attempts: At most, of a call that fails for a reason that may pass.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        authority: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
        tls: bool = False,
        insecure: bool = False,
        timeout: float | None = None,
        attempts: int = 6,
    ):
        connection = Connection(target, token, authority, certificate, private_key, tls, insecure)
        self._timeout, self._attempts = timeout, attempts
        self._metadata, self._channel = connection.metadata, connection.channel()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def validate(
        self, work: Job | str, *, progress: ProgressCallback | None = None, timeout: float | None = None
    ) -> ValidationReport:
        """Returns the report of the whole pipeline, `progress` told of every step."""
        _, document = self._streamed("Validate", "report", work, progress, timeout)
        found = document["dimensions"]
        document["dimensions"] = {name: found[name] for name in sorted(found, key=_place_of)}
        return ValidationReport.model_validate(document)

    def train_cascade(
        self, work: Job | str, *, progress: ProgressCallback | None = None, timeout: float | None = None
    ) -> results.Cascade:
        """Returns the trained proxies and the extrapolation."""
        id, document = self._streamed("TrainCascade", "results", work, progress, timeout)
        return results.Cascade.model_validate({"validation_id": id, **document})

    def analyze_diversity(self, work: Job | str, *, timeout: float | None = None) -> results.Diversity:
        """Returns the candidate's diversity."""
        return self._asked("ValidationEngine", "AnalyzeDiversity", work, results.Diversity, timeout)

    def pre_screen_risk(self, work: Job | str, *, timeout: float | None = None) -> results.PreScreen:
        """Returns the risk before anything is trained."""
        return self._asked("ValidationEngine", "PreScreenRisk", work, results.PreScreen, timeout)

    def get_predictions(self, work: Job | str, *, timeout: float | None = None) -> results.Predictions:
        """Returns the scaling law and what it predicts."""
        return self._asked("ValidationEngine", "GetPredictions", work, results.Predictions, timeout)

    def detect_collapse(self, work: Job | str, *, timeout: float | None = None) -> results.Detection:
        """Returns the eight dimensions and what drives the verdict."""
        return self._asked("CollapseEngine", "DetectCollapse", work, results.Detection, timeout)

    def localize_problems(self, work: Job | str, *, timeout: float | None = None) -> results.Problems:
        """Returns suspicious rows and regions."""
        return self._asked("CollapseEngine", "LocalizeProblems", work, results.Problems, timeout)

    def generate_recommendations(self, work: Job | str, *, timeout: float | None = None) -> results.Recommendations:
        """Returns what to do, best first."""
        return self._asked("CollapseEngine", "GenerateRecommendations", work, results.Recommendations, timeout)

    def cancel_validation(self, validation_id: str, *, timeout: float | None = None) -> str:
        """Stops a validation; returns what it ended as."""
        request = validation_engine_pb2.CancelValidationRequest(validation_id=validation_id)
        answer = self._unary("ValidationEngine", "CancelValidation", request, self._deadline(timeout))
        return to_document(answer)["state"]

    def _asked(self, service: str, name: str, work: Job | str, kind: type[M], timeout: float | None) -> M:
        request = _request(service, name, work)
        answer = self._unary(service, name, request, self._deadline(timeout))
        return kind.model_validate(to_document(answer))

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

    def _unary(self, service: str, name: str, request: Any, deadline: Deadline) -> Any:
        response = getattr(_MODULES[service], f"{name}Response")
        call = self._channel.unary_unary(
            f"/vr.v1.{service}/{name}", request_serializer=_bytes, response_deserializer=response.FromString
        )
        return retried(lambda left: call(request, timeout=left, metadata=self._metadata), deadline, self._attempts)

    def _streamed(
        self, name: str, result: str, work: Job | str, progress: ProgressCallback | None, timeout: float | None
    ) -> tuple[str, Any]:
        """Returns the validation id and the last message's result; a stream that breaks is attached to again."""
        request = _request("ValidationEngine", name, work)
        response = getattr(validation_engine_pb2, f"{name}Response")
        call = self._channel.unary_stream(
            f"/vr.v1.ValidationEngine/{name}", request_serializer=_bytes, response_deserializer=response.FromString
        )
        deadline, last = self._deadline(timeout), None

        def attached(left: float | None) -> Any:
            nonlocal last
            for message in call(request, timeout=left, metadata=self._metadata):
                request.validation_id = message.validation_id
                # Another replica numbers from one again.
                request.after_sequence = last = message.sequence
                if message.WhichOneof("event") == result:
                    return message
                if progress is not None and message.progress.stage:
                    progress(_event(message.progress))
            raise AssertionError("the stream ended without a result")

        while True:
            before = last
            try:
                message = retried(attached, deadline, self._attempts)
                return message.validation_id, to_document(getattr(message, result))
            except ServiceError as err:
                # Whoever got on in the meantime has all attempts again.
                if last == before or not is_transient(err):
                    raise


def _place_of(dimension: str) -> tuple[int, str]:
    """Returns where a dimension stands in a report; one of a newer server comes last."""
    return (_DIMENSIONS.index(dimension) if dimension in _DIMENSIONS else len(_DIMENSIONS), dimension)


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()


def _request(service: str, name: str, work: Job | str) -> Any:
    kind: Callable[..., Any] = getattr(_MODULES[service], f"{name}Request")
    return kind(validation_id=work) if isinstance(work, str) else kind(job=work.to_message(uuid.uuid4().hex))


def _event(message: Any) -> Event:
    told = to_document(message)
    training = None
    if (values := told["training"]) is not None:
        from vr.cascade.progress import MemoryUse, Progress

        memory = values.pop("memory")
        training = Progress(
            told["done"],
            int(told["total"] or 0),
            told["message"],
            memory=None if memory is None else MemoryUse(**memory),
            **values,
        )
    return Event(told["stage"], told["done"], told["total"], told["message"], training=training)

"""What is counted and timed, for Prometheus. No label takes a value that a request could choose."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

__all__ = ["STAGES", "Metrics", "Work", "serve"]

_CALL_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
# Of `vr.pipeline.progress.Event`, and `begin`: until a child tells of the first of them.
STAGES = ("begin", "read", "profile", "prescreen", "cascade", "statistics", "localize", "recommend", "report")


class Work:
    """Metrics of the work of validations, of a server and of a worker alike."""

    def __init__(self, registry: CollectorRegistry):
        of: Any = {"registry": registry}
        self.queue_seconds = Histogram("vr_queue_seconds", "A validation's wait for a child.", buckets=_CALL_S, **of)
        self.compute_seconds = Histogram("vr_compute_seconds", "A validation's work.", buckets=_CALL_S, **of)
        self.stage_seconds = Histogram(
            "vr_stage_seconds", "A stage of a validation's work.", ["stage"], buckets=_CALL_S, **of
        )
        self.rows_per_second = Gauge("vr_training_rows_per_second", "Rows that proxies train on now, a second.", **of)
        self.device_busy = Gauge("vr_device_busy", "Share of training threads' time that the device computes.", **of)
        self.retries = Counter(
            "vr_retries", "Validations that were gone on with, by what had stopped them.", ["cause"], **of
        )
        self.child_deaths = Counter("vr_child_deaths", "Children that ended unasked.", **of)
        self.verdicts = Counter("vr_verdicts", "Finished validations.", ["verdict"], **of)
        self.rows = Counter("vr_rows", "Candidate rows of finished validations.", **of)
        self._paces: dict[object, tuple[float, float]] = {}

    def train(self, who: object, rows_per_second: float | None, busy: float | None) -> None:
        """Notes how fast a validation trains now."""
        self._paces[who] = (rows_per_second or 0.0, busy or 0.0)
        self._show()

    def rest(self, who: object) -> None:
        """Notes that a validation trains no more."""
        if self._paces.pop(who, None) is not None:
            self._show()

    def _show(self) -> None:
        paces = self._paces.values()
        self.rows_per_second.set(sum(rows for rows, _ in paces))
        self.device_busy.set(sum(busy for _, busy in paces) / len(paces) if paces else 0.0)


class Metrics(Work):
    """All metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(self.registry)
        of: Any = {"registry": self.registry}
        self.requests = Counter("vr_requests", "Calls that ended.", ["method", "code"], **of)
        self.request_seconds = Histogram("vr_request_seconds", "Of a call.", ["method"], buckets=_CALL_S, **of)
        self.inflight = Gauge("vr_inflight", "Calls under way.", ["method"], **of)
        self.rejections = Counter("vr_rejections", "Failures by reason, as docs/errors.md has them.", ["reason"], **of)
        self.validations = Gauge("vr_validations", "Validations under way.", ["state"], **of)
        self.children = Gauge("vr_children", "Children that live.", **of)


def serve(registry: CollectorRegistry, host: str, port: int) -> int:
    """Answers scrapers on a port of its own, in a thread of its own; returns the port."""
    server, _ = start_http_server(port, addr=host, registry=registry)
    return server.server_port

"""What is counted and timed, for Prometheus. No label takes a value that a request could choose."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

__all__ = ["Metrics"]

_CALL_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """All metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of: Any = {"registry": self.registry}
        self.requests = Counter("vr_requests", "Calls that ended.", ["method", "code"], **of)
        self.request_seconds = Histogram("vr_request_seconds", "Of a call.", ["method"], buckets=_CALL_S, **of)
        self.inflight = Gauge("vr_inflight", "Calls under way.", ["method"], **of)
        self.rejections = Counter("vr_rejections", "Failures by reason, as docs/errors.md has them.", ["reason"], **of)
        self.queue_seconds = Histogram("vr_queue_seconds", "A validation's wait for a child.", buckets=_CALL_S, **of)
        self.compute_seconds = Histogram("vr_compute_seconds", "A validation's work.", buckets=_CALL_S, **of)
        self.validations = Gauge("vr_validations", "Validations under way.", ["state"], **of)
        self.children = Gauge("vr_children", "Children that live.", **of)
        self.child_deaths = Counter("vr_child_deaths", "Children that ended unasked.", **of)
        self.verdicts = Counter("vr_verdicts", "Finished validations.", ["verdict"], **of)
        self.rows = Counter("vr_rows", "Candidate rows of finished validations.", **of)

    def serve(self, host: str, port: int) -> int:
        """Answers scrapers on a port of its own; returns the port."""
        server, _ = start_http_server(port, addr=host, registry=self.registry)
        return server.server_port

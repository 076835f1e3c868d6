"""What a worker counts and times, for Prometheus. No label takes a value that a job or an orchestrator could choose."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vr.server.metrics import Work

__all__ = ["WorkerMetrics"]

_ANSWER_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class WorkerMetrics(Work):
    """All metrics of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(self.registry)
        of: Any = {"registry": self.registry}
        self.calls = Counter("vr_orchestrator_calls", "Calls that ended.", ["method", "code"], **of)
        self.call_seconds = Histogram("vr_orchestrator_call_seconds", "Of a call.", ["method"], buckets=_ANSWER_S, **of)
        self.answering = Gauge("vr_orchestrator_answering", "1 where the last call was answered.", **of)
        self.leases = Counter("vr_leases", "Leases that were granted.", **of)
        self.overdue = Gauge("vr_lease_overdue_seconds", "Since the lease under way ran out; 0: it runs.", **of)
        self.running = Gauge("vr_jobs_running", "1 while a job is under way.", **of)
        self.ends = Counter(
            "vr_jobs", "Attempts that ended, by how, and of failures by reason.", ["end", "reason"], **of
        )
        self.spooled = Gauge("vr_spooled", "Ends of jobs that nobody has acknowledged yet.", **of)

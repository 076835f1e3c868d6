"""A reference orchestrator to test workers with: SQLite, a real gRPC server on loopback, and a script of faults."""

from vr.worker.testing.ledger import Ledger
from vr.worker.testing.orchestrator import ReferenceOrchestrator
from vr.worker.testing.script import Script

__all__ = ["Ledger", "ReferenceOrchestrator", "Script"]

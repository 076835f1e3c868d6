"""A client of the service.

from vr.client import Client, Job

with Client("127.0.0.1:50051") as client:
    report = client.validate(Job("/data/generated.parquet", reference="/data/real.parquet", cascade="none"))
    report.verdict, report.risk_score
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vr.client.calls import ServiceError
    from vr.client.client import Client
    from vr.client.job import Job

__all__ = ["Client", "Job", "ServiceError"]

_HOMES = {"Client": "client", "Job": "job", "ServiceError": "calls"}


def __getattr__(name: str) -> Any:
    # The command line asks for the words of `vr remote` alone, and is to start without gRPC.
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"vr.client.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

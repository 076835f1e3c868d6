"""A client of the service.

from vr.client import Client, Job

with Client("127.0.0.1:50051") as client:
    report = client.validate(Job("/data/generated.parquet", reference="/data/real.parquet", cascade="none"))
    report.verdict, report.risk_score
"""

from vr.client.calls import ServiceError
from vr.client.client import Client
from vr.client.job import Job

__all__ = ["Client", "Job", "ServiceError"]

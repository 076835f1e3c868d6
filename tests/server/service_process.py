"""A server process under test, and what it is asked about."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from vr.server._generated.vr.v1 import job_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine

ROOT = Path(__file__).resolve().parents[2]
# Two tiers of two tiny proxies, so that a law can be fitted, in seconds.
TINY = (
    "cascade.tiers=[{name:one,seeds:2,width:4,depth:1,steps:20},{name:two,seeds:2,width:8,depth:1,steps:20}]",
    "cascade.train_rows=100",
    "cascade.test_rows=60",
    "cascade.progress_seconds=0",
)

SLOW = ("cascade.tiers=[{name:one,seeds:3,width:64,depth:2,steps:20000}]", "cascade.progress_seconds=0")


def table(rows: int, seed: int, *, broken: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 3))
    x[:, 1] += x[:, 0]
    if broken:
        for column in x.T:
            rng.shuffle(column)
        x = np.clip(0.4 * x, -0.6, 0.6)
    names = np.array(["rare", "low", "mid", "high"])
    return pa.table(
        {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "group": names[np.searchsorted([-1.5, 0, 1.2], x[:, 2])]}
    )


@dataclass
class Running:
    """A server process under test."""

    address: str
    process: subprocess.Popen
    store: Path
    log: Path

    @property
    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address)

    @property
    def metrics_port(self) -> int:
        # Its log may say so a moment after its first line says that it listens.
        until(lambda: "metrics " in self.log.read_text())
        return int(re.search(r"metrics (\d+)", self.log.read_text()).group(1))


@contextmanager
def running(folder: Path, *words: str, store: Path | None = None) -> Iterator[Running]:
    """Starts `vr serve`, waits for its line, and ends it with everything it started."""
    store, log = store or folder / "store", folder / "server.log"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "vr", "serve", "server.port=0", f"server.store={store}", *words]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "PYTHONPATH": ""}
        )
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), log.read_text()
        yield Running(line.removeprefix("listening on ").strip(), process, store, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def details_of(error: grpc.RpcError) -> dict[str, object]:
    """Returns a failed call's details by the name of their type."""
    status = rpc_status.from_call(error)
    found = {}
    for detail in () if status is None else status.details:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        message = kind()
        assert detail.Unpack(message)
        found[kind.DESCRIPTOR.name] = message
    return found


def without_nulls(value):
    """Returns a document without what is absent: on the wire, null and absent are the same."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def stream(server, request: engine.ValidateRequest, channel=None, timeout: float | None = None):
    return (channel or server.channel).unary_stream(
        "/vr.v1.ValidationEngine/Validate",
        request_serializer=engine.ValidateRequest.SerializeToString,
        response_deserializer=engine.ValidateResponse.FromString,
    )(request, timeout=timeout)


def slow_job(data, **settings) -> job_pb2.Job:
    overrides = [*TINY[1:3], *SLOW]
    return job_pb2.Job(
        candidate=job_pb2.Dataset(uri=str(data / "broken.parquet")),
        reference=job_pb2.Dataset(uri=str(data / "reference.parquet")),
        settings=job_pb2.Settings(overrides=overrides),
        **settings,
    )


def until(holds, seconds: float = 30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def children_of(server: Running) -> list[int]:
    """Returns the process numbers of those that compute for a server."""
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]

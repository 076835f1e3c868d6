"""How long does the service take for a small dataset, warm, and does health stay quick while it computes?

    python -m benchmarks.service_latency --clients 4 --requests 40

Statistics only (`cascade=none`), 2,000 x 12 against 2,000 x 12, every request a new validation. Prints p50 and p99 of
the requests, of health asked meanwhile, and, as a baseline, of one client alone; writes one JSON result.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from grpc_health.v1 import health_pb2, health_pb2_grpc

import vr
from vr.client import Client, Job

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "service_latency.json"


def table(rows: int, columns: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)) @ (np.eye(columns) + 0.2 * np.tri(columns, k=-1))
    named = {f"x{i}": x[:, i] for i in range(columns - 2)}
    levels = np.array(["rare", "low", "mid", "high"])
    return pa.table(named | {"group": levels[np.searchsorted([-1.5, 0, 1.2], x[:, -2])], "flag": x[:, -1] > 0})


def figures(seconds: list[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "p50_s": round(float(np.quantile(seconds, 0.5)), 4),
        "p99_s": round(float(np.quantile(seconds, 0.99)), 4),
        "max_s": round(max(seconds), 4),
    }


def timed(client: Client, work: Job) -> float:
    begun = time.perf_counter()
    client.detect_collapse(work)
    return time.perf_counter() - begun


def health_times(address: str, stop: threading.Event) -> list[float]:
    found = []
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while not stop.is_set():
            begun = time.perf_counter()
            stub.Check(health_pb2.HealthCheckRequest(service=""))
            found.append(time.perf_counter() - begun)
            time.sleep(0.02)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--children", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = [folder / "candidate.parquet", folder / "reference.parquet"]
        for seed, path in enumerate(pair):
            pq.write_table(table(arguments.rows, arguments.columns, seed), path)
        work = Job(*pair, cascade="none")
        words = [f"server.store={folder / 'store'}", f"server.children={arguments.children}", "cascade=none"]
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "vr",
                "serve",
                "server.port=0",
                f"server.tenant_jobs={arguments.clients + 1}",
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        try:
            address = re.search(r"listening on (\S+)", server.stdout.readline())[1]
            with Client(address) as client, ThreadPoolExecutor(arguments.clients + 1) as pool:
                # Every child has its first validation, which no figure counts.
                list(pool.map(lambda _: timed(client, work), range(2 * arguments.children)))
                alone = [timed(client, work) for _ in range(5)]
                stop = threading.Event()
                health = pool.submit(health_times, address, stop)
                begun = time.perf_counter()
                together = list(pool.map(lambda _: timed(client, work), range(arguments.requests)))
                wall = time.perf_counter() - begun
                stop.set()
                result = {
                    "one_client": figures(alone),
                    "clients": arguments.clients,
                    "together": figures(together),
                    "per_second": round(arguments.requests / wall, 3),
                    "health": figures(health.result()),
                }
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    document = {
        "question": __doc__.splitlines()[0],
        "rows": arguments.rows,
        "columns": arguments.columns,
        "children": arguments.children,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "version": vr.__version__,
        **result,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

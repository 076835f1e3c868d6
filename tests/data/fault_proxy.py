"""A proxy on loopback between a client and a real server of S3 or GCS, which makes what is asked of it go wrong.

    with FaultProxy("127.0.0.1:5000") as proxy:
        proxy.fail_at(0.2)
        ...  # talk to proxy.url
        proxy.seen()

It runs in a process of its own: pyarrow asks some things of a store while it holds the interpreter.

Faults: `delay`; `reset` (forwarded, half of the answer, then a reset connection); `short` (half of the answer, then an
orderly end); `lie` (half of the answer, said to be all of it); `500`, `503`, `403` (not forwarded); `stale` (the answer
that the same request had the first time).
"""

import http.client
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASSING = ("delay", "reset", "short", "500", "503")
_CONTROL = "/__faults"
_DELAY_S = 0.05
_BODIES = {
    "500": ("InternalError", "backendError"),
    "503": ("SlowDown", "rateLimitExceeded"),
    "403": ("AccessDenied", "forbidden"),
}


class FaultProxy:
    """The process, and what to tell it; `upstream` is "127.0.0.1:PORT"."""

    def __init__(self, upstream: str):
        self.upstream = upstream

    def __enter__(self) -> "FaultProxy":
        self._process = subprocess.Popen(
            [sys.executable, __file__, self.upstream], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def calm(self) -> None:
        """Forwards everything from now on, and forgets what was seen."""
        self._tell(rate=0.0, times=0, faults=[])

    def fail_at(self, rate: float, seed: int = 0, faults: tuple[str, ...] = PASSING) -> None:
        """Makes a share of all requests go wrong, each in one of `faults`; forgets what was seen."""
        self._tell(rate=rate, times=-1, seed=seed, faults=faults)

    def fail_times(self, fault: str, times: int = -1, method: str = "", part: str = "") -> None:
        """Makes the next requests go wrong, all with -1, of a method and with something in their path."""
        self._tell(rate=1.0, times=times, faults=[fault], method=method, part=part)

    def seen(self) -> list[tuple[str, str, str | None]]:
        """Returns method, path and fault of every request since the last instruction."""
        with urllib.request.urlopen(self.url + _CONTROL) as answer:
            return [tuple(each) for each in json.load(answer)]

    def _tell(self, **plan: Any) -> None:
        request = urllib.request.Request(self.url + _CONTROL, data=json.dumps(plan).encode(), method="POST")
        urllib.request.urlopen(request).close()


class _Plan:
    def __init__(self, rate=0.0, times=0, seed=0, faults=(), method="", part=""):
        self.rate, self.times, self.faults, self.method, self.part = rate, times, faults, method, part
        self.rng, self.lock = random.Random(seed), threading.Lock()
        self.seen: list[tuple[str, str, str | None]] = []

    def fault_of(self, method: str, path: str) -> str | None:
        with self.lock:
            fault = None
            if self.times and self.method in ("", method) and self.part in path and self.rng.random() < self.rate:
                fault = self.rng.choice(self.faults)
                self.times -= 1
            self.seen.append((method, path, fault))
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    plan = _Plan()
    first: dict[tuple[str, str], Any] = {}
    # moto looks whether an object exists and then writes it, as two steps: S3 promises one.
    one_write = threading.Lock()

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == _CONTROL:
            answer = json.dumps(_Handler.plan.seen).encode()
            if self.command == "POST":
                _Handler.plan = _Plan(**json.loads(body))
            self._send(200, [], answer)
            return
        fault = _Handler.plan.fault_of(self.command, self.path)
        if fault in _BODIES:
            self._refuse(fault)
            return
        if fault == "delay":
            time.sleep(_DELAY_S)
        status, headers, content = self._ask(body, fault)
        if fault == "reset":
            self._send(status, headers, content, sent=len(content) // 2)
            self._reset()
        elif fault == "short" and len(content) > 1:
            self._send(status, headers, content, sent=len(content) // 2)
            self.close_connection = True
        elif fault == "lie" and len(content) > 1 and self.command == "GET":
            self._send(status, headers, content[: len(content) // 2])
        else:
            self._send(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    def _ask(self, body: bytes, fault: str | None) -> tuple[int, list[tuple[str, str]], bytes]:
        key = (self.command, self.path)
        if fault == "stale" and key in self.first:
            return self.first[key]
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        with self.one_write if "If-None-Match" in self.headers else nullcontext(), closing(connection):
            connection.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
            got = connection.getresponse()
            answer = got.status, got.getheaders(), got.read()
        if self.command == "GET":
            self.first.setdefault(key, answer)
        return answer

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes, sent: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
            elif name.lower() == "content-length" and self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])

    def _refuse(self, fault: str) -> None:
        s3, gcs = _BODIES[fault]
        if "/storage/v1/" in self.path:
            text = json.dumps({"error": {"code": int(fault), "message": gcs, "errors": [{"reason": gcs}]}})
            kind = "application/json"
        else:
            text, kind = f"<?xml version='1.0'?><Error><Code>{s3}</Code><Message>no</Message></Error>", "text/xml"
        self._send(int(fault), [("Content-Type", kind)], text.encode())

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # The file object holds the socket open: only closing both sends the reset.
        self.rfile.close()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    _Handler.upstream = sys.argv[1]
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()

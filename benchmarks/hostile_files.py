"""What becomes of damaged and hostile files: any crash, any hang, any error that is not one line; how long to refuse?

    python -m benchmarks.hostile_files --mutations 50000

Two parts, one core. *Mutations*: small sound files of every format and layout, damaged by seed; each is opened and read
to its end with the parsing process's own code, in a worker that is watched. A worker that dies or does not get on is
replaced, and the seed at fault is read again as `reading.isolation=always` does, which must give one typed error.
*Bombs*: files that are small and decode to a lot, or never end, read in isolation with the default limits.
Writes results/hostile_files.json.
"""

import argparse
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile_bombs import BOMBS
from benchmarks.hostile_corpus import corpus
from benchmarks.measure import save
from benchmarks.mutations import mutate

__all__ = ["Outcome", "explode", "fuzz", "mutant", "summarised"]

_HANG_S = 20.0  # thousands of times what a small file takes
_WORKER_BYTES = 1 << 30
_SLOW_S = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
      seed: Of the mutation; with the corpus it is the file.
      name: Of the sound file.
      how: Names of its mutations.
      result: `read`; `refused` by a `DataError`; `untyped`, any other exception; `died` or `hung`, of the process.
      seconds: From opening to the end.
      said: Text of the error.
    """

    seed: int
    name: str
    how: str
    result: str
    seconds: float
    said: str = ""


def mutant(files: dict[str, bytes], seed: int) -> tuple[str, bytes, str]:
    """Returns the name of a sound file, its damaged content, and what was done to it."""
    rng = random.Random(seed)
    names = sorted(files)
    name = names[seed % len(names)]
    content, how = mutate(files[name], list(files.values()), rng)
    return name, content, how


def fuzz(seeds: Sequence[int], folder: Path, hang_s: float = _HANG_S) -> Iterator[Outcome]:
    """Yields the outcome of every seed, in order, whatever becomes of the workers that read them."""
    files = corpus()
    done = 0
    while done < len(seeds):
        for outcome in _one_worker(seeds[done:], files, folder, hang_s):
            done += 1
            yield outcome


def _one_worker(seeds: Sequence[int], files: dict[str, bytes], folder: Path, hang_s: float) -> Iterator[Outcome]:
    """Yields outcomes until the seeds are done or the worker is, the last outcome then being its end."""
    (folder / "corpus.json").write_text(json.dumps({name: content.hex() for name, content in files.items()}))
    command = [sys.executable, "-m", "benchmarks.hostile_files", "--worker", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for seed in seeds:
            begun = time.perf_counter()
            process.stdin.write(f"{seed}\n".encode())
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], hang_s)
            line = process.stdout.readline() if ready else b""
            if line:
                yield Outcome(**json.loads(line))
                continue
            name, _, how = mutant(files, seed)
            result = "died" if ready else "hung"
            said = f"ended with {process.wait()}" if ready else f"no answer for {hang_s:g} s"
            yield Outcome(seed, name, how, result, time.perf_counter() - begun, said)
            return
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def work(folder: Path) -> None:
    """Reads the mutants of the seeds that come in, a line each, and says what became of each."""
    from vr.core.errors import DataError
    from vr.data.source import open_source

    resource.setrlimit(resource.RLIMIT_DATA, (_WORKER_BYTES, _WORKER_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "w")
    files = {name: bytes.fromhex(content) for name, content in json.loads((folder / "corpus.json").read_text()).items()}
    for line in sys.stdin:
        seed = int(line)
        name, content, how = mutant(files, seed)
        path = folder / name
        path.write_bytes(content)
        begun = time.perf_counter()
        try:
            for batch in open_source(path).batches():
                del batch
        except DataError as error:
            result, said = "refused", str(error)
        except Exception as error:  # noqa: BLE001 - that there is none is what is measured
            result, said = "untyped", f"{type(error).__name__}: {error}"
        else:
            result, said = "read", ""
        outcome = Outcome(seed, name, how, result, time.perf_counter() - begun, said[:300])
        out.write(json.dumps(asdict(outcome)) + "\n")
        out.flush()


def summarised(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Returns counts by result and by format, and how long it took to refuse, in milliseconds."""
    formats: dict[str, Counter] = {}
    for each in outcomes:
        formats.setdefault(each.name.partition(".")[2].removesuffix(".gz"), Counter())[each.result] += 1
    times = 1e3 * np.array([each.seconds for each in outcomes if each.result == "refused"])
    bad = [each for each in outcomes if each.result not in ("read", "refused")]
    return {
        "mutations": len(outcomes),
        "results": dict(Counter(each.result for each in outcomes)),
        "by_format": {name: dict(counts) for name, counts in sorted(formats.items())},
        "refused_ms": {
            name: round(float(np.quantile(times, q)), 2) for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        },
        "slow": [asdict(each) for each in outcomes if each.seconds > _SLOW_S and each.result in ("read", "refused")],
        "processes_lost": [asdict(each) for each in bad],
    }


_BOMB = """
import json, resource, sys, time
from vr.core.errors import VrError
from vr.data.config import Isolation, ReadingConfig
from vr.data.source import open_source
reading = ReadingConfig(isolation=Isolation.always)
begun = time.perf_counter()
try:
    rows = sum(batch.num_rows for batch in open_source({path!r}, reading=reading).batches())
    result, said = "read", f"{{rows}} rows"
except VrError as error:
    result, said = "refused", str(error)
seconds = time.perf_counter() - begun
own = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024  # rusage counts what forked it, too
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps(dict(result=result, seconds=round(seconds, 2), said=said, parent_peak_bytes=own,
                      child_peak_bytes=child)))
"""


def explode(path: Path, timeout_s: float = 300.0) -> dict[str, Any]:
    """Returns what became of one file in a fresh process, how long it took, and the peak memory of both processes."""
    script = _BOMB.format(path=str(path))
    try:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return {"result": "hung", "seconds": timeout_s, "said": ""}
    if done.returncode:
        return {
            "result": "untyped",
            "seconds": None,
            "said": done.stderr.strip()[-300:] or f"ended with {done.returncode}",
        }
    answer = json.loads(done.stdout)
    return {**answer, "said": answer["said"].replace(str(path), path.name)}


def main() -> None:
    """Runs both parts and writes the result; or, for itself, a worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=50_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--bombs", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--minutes", type=float, default=600.0, help="stop mutating after so long, and say how many")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        work(args.worker)
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        outcomes: list[Outcome] = []
        begun = time.monotonic()
        for outcome in fuzz(range(args.first_seed, args.first_seed + args.mutations), Path(folder)):
            outcomes.append(outcome)
            if outcome.result not in ("read", "refused"):
                print(outcome, flush=True)
            if len(outcomes) % 5_000 == 0:
                print(f"{len(outcomes)} mutations", flush=True)
            if time.monotonic() - begun > 60 * args.minutes:
                break
        result["mutations"] = summarised(outcomes)
        files = corpus()
        for each in result["mutations"]["processes_lost"]:
            path = Path(folder) / each["name"]
            path.write_bytes(mutant(files, each["seed"])[1])
            each["isolated"] = explode(path)
        if args.bombs:
            result["bombs"] = {name: _bomb(name, write, Path(folder)) for name, write in BOMBS.items()}
    print(json.dumps({**result["mutations"], "slow": len(result["mutations"]["slow"])}, indent=1))
    result["load_average"] = os.getloadavg()
    save("hostile_files", result, " ".join(["python -m benchmarks.hostile_files", *sys.argv[1:]]))


def _bomb(name: str, write: Callable[[Path], None], folder: Path) -> dict[str, Any]:
    path = folder / name
    write(path)
    outcome = {"stored_bytes": path.stat().st_size, **explode(path)}
    path.unlink()
    print(name, outcome, flush=True)
    return outcome


if __name__ == "__main__":
    main()

"""What does an accelerator make of the cascade: is it right there, how fast is it, and where does its time go?

    python -m benchmarks.accelerator --output FOLDER [--steps units,tiers] [--budget-s 540]

Runs the steps below one after the other, each a process of its own with a time limit, most valuable first; what fails
or runs out of time loses nothing of the others, and a step that has ended well in this folder is not run again. All
parts go into one file, `accelerator.json`, after every step; `python -m benchmarks.accelerator.page FILE` makes of it
benchmarks/results/accelerator.json and the tables of docs/cascade.md.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accelerator.tiers import BY_SPECTRUM
from benchmarks.accelerator.validation import stages_of
from benchmarks.measure import machine

_LEAST_S = 8
_MOST_PACKED_BYTES = 12 << 20
_TESTS = (
    "tests/models/test_networks.py",
    "tests/models/test_causal.py",
    "tests/cascade/test_judge.py",
    "tests/cascade/test_probes.py",
    "tests/cascade/test_training.py",
    "tests/cascade/test_train.py",
    "tests/cascade/test_learning_rate.py",
)


@dataclass(frozen=True)
class Step:
    """A module of this package or another command, its time limit in seconds, and what its environment adds.

    Those that time nothing run side by side, all such in a row.
    """

    name: str
    words: Sequence[str]
    limit_s: int
    env: dict[str, str] = field(default_factory=dict)
    is_timed: bool = True


def steps_of(folder: Path, platform: str) -> list[Step]:
    """Returns the steps, most valuable first."""
    out = ["--output", str(folder)]
    here, processor = {"JAX_PLATFORMS": platform}, {"JAX_PLATFORMS": "cpu"}
    # Side by side with other processes on one device, or with PyTorch, which has an allocator of its own.
    shared = here | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    # Their tolerances are those of float32, which products on an accelerator are not unless told to.
    exact = shared | {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}

    def module(name: str, words: Sequence[str], limit_s: int, env: dict[str, str], step: str = "") -> Step:
        return Step(step or name, ["-m", f"benchmarks.accelerator.{name}", *out, *words], limit_s, env)

    def validation(step: str, words: Sequence[str], limit_s: int, env: dict[str, str]) -> Step:
        return module("validation", ["--name", step, *words], limit_s, env, step)

    def tiers(step: str, presets: str, only: Sequence[str], traced: Sequence[str], limit_s: int) -> Step:
        chosen = ["--presets", presets, "--only", ",".join(only), "--trace", ",".join(traced)]
        return module("tiers", [*chosen, "--judging", "--compilers", "10", "--name", step], limit_s, here, step)

    def untimed(step: Step) -> Step:
        # Threads of several processes that wait for each other in a loop starve one another.
        return replace(step, is_timed=False, env=step.env | {"OMP_NUM_THREADS": "3"})

    laptop, demo = "cascade=laptop", ("--case", "demo", "cascade=laptop")
    own = [f"workstation/tier_{number}/{network}" for number in (2, 3, 1) for network in ("resonance", BY_SPECTRUM)]
    control = [f"{name}/tier_{number}/mlp" for name in ("workstation", "laptop") for number in (1, 2, 3)]
    # What these compile takes longer than what they run, so several at once; none may take the memory of all.
    # Without a plugin that refuses several workers, where it happens to be installed.
    plain = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-W", "default"]
    pytest = ["-m", "pytest", "-v", "-n", "5", *plain, "-k", "not eight_devices", *_TESTS]
    torch = ["-m", "benchmarks.cascade_throughput", "--device", "cuda", "--repeats", "1", "--steps-share", "0.2"]
    return [
        module("units", [], 45, here),
        tiers("tiers", "workstation,h100", [*own, "h100/tier_1/resonance"], [own[0], own[2]], 240),
        tiers("tiers_rest", "workstation,laptop", control, [control[1], control[3]], 150),
        untimed(validation("demo", demo, 240, shared)),
        untimed(Step("tests", pytest, 600, exact)),
        untimed(validation("workstation_short", ["--steps-share", "0.02", "cascade=workstation"], 240, shared)),
        Step("throughput", [*torch, *out], 120, shared),
        untimed(module("agreement", [], 240, shared | {"JAX_PLATFORMS": f"{platform},cpu"})),
        untimed(validation("demo_float32", [*demo, "cascade.precision=float32"], 240, shared)),
        untimed(validation("demo_processor", demo, 240, processor)),
        validation("laptop", [laptop], 80, here),
        validation("laptop_warm", [laptop], 45, here),
        validation("laptop_processor", [laptop], 75, processor),
        validation("workstation", ["cascade=workstation"], 1_800, here),
        tiers("tiers_h100", "h100", ["h100/tier_2/resonance", "h100/tier_3/resonance"], [], 600),
    ]


def main() -> None:
    """Runs the steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", default="", help="names, in this order; all by default")
    parser.add_argument("--budget-s", type=float, default=3_600, help="of all together; a step gets what is left")
    parser.add_argument("--copy", type=Path, help="a folder to copy accelerator.json and logs_and_traces.tar.gz into")
    parser.add_argument("--platform", default="cuda", help="as JAX_PLATFORMS has it")
    args = parser.parse_args()
    for folder in (args.output, args.copy or args.output):
        folder.mkdir(parents=True, exist_ok=True)
    known = {step.name: step for step in steps_of(args.output, args.platform)}
    names = [name for name in args.steps.split(",") if name] or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no step {', '.join(unknown)}; there are {', '.join(known)}")
    begun = time.perf_counter()
    # A cache of the run's own: the first use of a program compiles it, a second one finds it.
    cache = tempfile.mkdtemp(prefix="vr-accelerator-")
    done = _read(args.output / "accelerator.json")
    done |= {"command": "python -m benchmarks.accelerator", "date": datetime.now(UTC).date().isoformat()} | machine()
    pending = [name for name in names if name not in done.get("parts", {}) or done["steps"][name]["error"]]
    while pending:
        untimed = list(itertools.takewhile(lambda name: not known[name].is_timed, pending))
        together = untimed or pending[:1]
        pending = pending[len(together) :]
        left = args.budget_s - (time.perf_counter() - begun)
        with ThreadPoolExecutor(len(together)) as pool:
            found = list(pool.map(lambda name, left=left: run(known[name], left, args.output, cache), together))
        for name, status in zip(together, found, strict=True):
            done.setdefault("steps", {})[name] = status
            if name == "tests":
                part = outcomes_of(_log(args.output, name))
            else:
                part = _read(args.output / f"{name}.json")
                if part.get("case") and "runs" not in part and (told := stages_of(_log(args.output, name))):
                    part["told"] = told
            if part:
                done.setdefault("parts", {})[name] = part
            print(f"== {name}: {status} after {time.perf_counter() - begun:.0f} s", flush=True)
        (args.output / "accelerator.json").write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        if args.copy is not None:
            shutil.copy(args.output / "accelerator.json", args.copy)
    shutil.rmtree(cache, ignore_errors=True)
    _gather(args.output)
    if args.copy is not None:
        shutil.copy(args.output / "logs_and_traces.tar.gz", args.copy)


def run(step: Step, left_s: float, folder: Path, cache: str) -> dict[str, Any]:
    """Returns seconds and error (None without one) of a step; its output is in <name>.log."""
    if left_s < _LEAST_S:
        return {"seconds": 0.0, "error": "no time left", "last_lines": []}
    begun = time.perf_counter()
    env = {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONUNBUFFERED": "1", **step.env}
    error = None
    with (folder / f"{step.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *step.words],
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            if code := process.wait(timeout=min(step.limit_s, left_s)):
                error = f"ended with {code}"
        except subprocess.TimeoutExpired:
            # With all that it has started: on the device, nobody's memory is left behind.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            error = f"stopped after {min(step.limit_s, left_s):.0f} s"
    found = {"seconds": round(time.perf_counter() - begun, 1), "error": error}
    lines = _log(folder, step.name).strip().splitlines()
    return found | {"last_lines": [line[:300] for line in lines[-15 if error else -1 :]]}


def outcomes_of(log: str) -> dict[str, Any]:
    """Returns how many tests there are, how many passed, and the names of those that failed, by pytest's `-v -n`."""
    collected = re.search(r"\[(\d+) items\]", log)
    ended = {
        name: outcome for outcome, name in re.findall(r"\] (PASSED|FAILED|ERROR|SKIPPED) (\S+::.*?) *$", log, re.M)
    }
    if collected is None or not ended:
        return {}
    failed = sorted(name for name, outcome in ended.items() if outcome in ("FAILED", "ERROR"))
    passed = sum(outcome == "PASSED" for outcome in ended.values())
    return {"tests": int(collected[1]), "ended": len(ended), "passed": passed, "failed": failed}


def _gather(folder: Path) -> None:
    """Packs logs and traces, but for very large ones, so that few files have to be carried."""
    packed = folder / "packed"
    packed.mkdir(exist_ok=True)
    for path in [*folder.glob("*.log"), *folder.glob("trace/**/*.gz"), *folder.glob("trace/**/*.pb")]:
        if path.stat().st_size <= _MOST_PACKED_BYTES:
            shutil.copy(path, packed / "-".join(path.relative_to(folder).parts))
    shutil.make_archive(str(folder / "logs_and_traces"), "gztar", packed)
    shutil.rmtree(packed)


def _log(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    main()

"""What every speed benchmark shares: whole commands timed in turn, and one JSON file for each result."""

import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vr.core.memory import peak_bytes

__all__ = ["Timing", "account", "machine", "ratio", "rounds", "save", "summary", "timed"]

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "vr",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "numba",
    "pyarrow",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "sdmetrics",
    "pandas",
)


@dataclass(frozen=True)
class Timing:
    """One run of a command: wall seconds, processor seconds, peak memory in bytes, seconds that it timed within."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    inner_s: float | None = None


def timed(command: Sequence[str], env: Mapping[str, str] | None = None, timeout_s: float = 1_800) -> Timing:
    """Runs a command to its end in a process of its own and returns what it took.

    Raises:
      RuntimeError: It failed; with the end of what it printed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(
        list(command), env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    wall = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {printed[-2000:]}")
    # The last line is the child's own account, since the operating system only keeps the maximum over all children.
    account = json.loads(printed.strip().splitlines()[-1])
    return Timing(wall, account["cpu_s"], account["peak_bytes"], account.get("inner_s"))


def account() -> str:
    """Returns the line that a timed script prints last: its processor seconds and peak memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return json.dumps({"cpu_s": round(usage.ru_utime + usage.ru_stime, 3), "peak_bytes": peak_bytes()})


def rounds(commands: Mapping[str, Sequence[str]], repeats: int, timeout_s: float = 1_800) -> dict[str, list[Timing]]:
    """Times every command once in each round, A B C A B C, so that a machine that drifts drifts for all of them."""
    timings: dict[str, list[Timing]] = {name: [] for name in commands}
    for index in range(repeats):
        for name, command in commands.items():
            timing = timed(command, timeout_s=timeout_s)
            timings[name].append(timing)
            print(
                f"round {index + 1}  {name:28s} {timing.wall_s:8.2f} s  {timing.peak_bytes / 1e6:7.0f} MB", flush=True
            )
    return timings


def summary(timings: Sequence[Timing]) -> dict[str, Any]:
    """Returns median, least and greatest wall seconds, median processor seconds, greatest peak memory."""
    walls = [timing.wall_s for timing in timings]
    inner = [timing.inner_s for timing in timings if timing.inner_s is not None]
    return {
        "wall_s": {
            "median": round(statistics.median(walls), 3),
            "min": round(min(walls), 3),
            "max": round(max(walls), 3),
        },
        "without_imports_s": round(statistics.median(inner), 3) if inner else None,
        "cpu_s": round(statistics.median(timing.cpu_s for timing in timings), 3),
        "peak_bytes": max(timing.peak_bytes for timing in timings),
        "repeats": len(timings),
    }


def ratio(a: Sequence[Timing], b: Sequence[Timing], *, inner: bool = False) -> dict[str, float]:
    """Returns seconds of a over b, round by round: median, least and greatest; `inner` takes what they timed within."""
    values = [
        (x.inner_s or x.wall_s) / (y.inner_s or y.wall_s) if inner else x.wall_s / y.wall_s
        for x, y in zip(a, b, strict=True)
    ]
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def machine() -> dict[str, Any]:
    """Returns the machine and the versions, as they stand beside every result."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "versions": versions,
    }


def save(name: str, result: Mapping[str, Any], command: str, folder: Path = RESULTS) -> Path:
    """Writes `<name>.json` into a folder, with the versions and the machine beside the result."""
    document = {"command": command, "date": datetime.now(UTC).date().isoformat(), **machine(), **result}
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

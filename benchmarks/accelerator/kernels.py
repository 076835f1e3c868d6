"""Where a compiled program's time goes on the device: kernels of a profiler's trace, summed by the part they belong to.

The parts are the named scopes of the networks and of the step (`jax.named_scope`), which the compiler keeps beside each
instruction. A fused kernel counts for the scope of its last instruction.
"""

import gzip
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

__all__ = ["instructions_of", "part_of", "traced_parts"]

PARTS = ("embedding", "gate", "channels", "dense", "head", "loss", "batch", "optimizer", "norms")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?op_name=\"([^\"]*)\"", re.MULTILINE)
_MOST_KERNELS = 25


def instructions_of(text: str) -> dict[str, str]:
    """Returns the path of scopes of each instruction of an optimised program, by its name as `_plain` has it.

    Args:
      text: As `compiled.as_text()` gives it.
    """
    return {_plain(name): path for name, path in _INSTRUCTION.findall(text)}


def part_of(path: str) -> str:
    """Returns the innermost known scope of a path, with ` backward` where it is of a gradient; `other` without one."""
    words = re.split(r"[/()\s]+", path)
    found = next((word for word in reversed(words) if word in PARTS), "other")
    return f"{found} backward" if "transpose(" in path and found != "other" else found


def traced_parts(call: Callable[[], Any], compiled: Any, folder: Path) -> dict[str, Any]:
    """Returns microseconds of each part and of the longest kernels while `call` runs once, and the device's busy share.

    Keeps the optimised program's text in the folder, beside the trace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = compiled.as_text()
    with gzip.open(folder / "program.txt.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    with jax.profiler.trace(str(folder)):
        jax.block_until_ready(call())
    newest = max(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    events, span = _device_events(newest)
    paths = instructions_of(text)
    parts: dict[str, float] = defaultdict(float)
    kernels: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name, instruction, micros in events:
        path = paths.get(_plain(instruction)) or paths.get(_plain(name)) or ""
        parts[part_of(path) if path else "unnamed"] += micros
        kernels[name, path].append(micros)
    total = sum(parts.values())
    longest = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:_MOST_KERNELS]
    return {
        "busy_share": round(total / span, 4) if span else None,
        "span_ms": round(span / 1e3, 3),
        "kernels": len(events),
        "shares": {name: round(value / total, 4) for name, value in sorted(parts.items(), key=lambda item: -item[1])},
        "longest": [
            {
                "kernel": name[:120],
                "path": path[-160:],
                "calls": len(each),
                "share": round(sum(each) / total, 4),
                "microseconds": round(sum(each) / len(each), 2),
            }
            for (name, path), each in longest
        ],
    }


def _device_events(trace: Path) -> tuple[list[tuple[str, str, float]], float]:
    """Returns name, instruction and microseconds of what ran on the first device, and the microseconds it spans."""
    data = jax.profiler.ProfileData.from_file(str(trace))
    planes = [plane for plane in data.planes if plane.name.startswith("/device:")]
    lines = [line for plane in planes[:1] for line in plane.lines if line.name.startswith("Stream")]
    if not lines:
        # A processor's: what the compiled program's own threads ran.
        lines = [line for plane in data.planes for line in plane.lines if "XLA" in line.name or "Eigen" in line.name]
    events, first, last = [], float("inf"), 0.0
    for line in lines:
        for event in line.events:
            if not event.duration_ns:
                continue
            stats = {name: value for name, value in event.stats if name in ("hlo_op", "name")}
            events.append((event.name, str(stats.get("hlo_op", event.name)), event.duration_ns / 1e3))
            first, last = min(first, event.start_ns), max(last, event.start_ns + event.duration_ns)
    return events, max(0.0, last - first) / 1e3


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower()).strip("_")

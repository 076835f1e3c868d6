"""How long does a whole `vr validate` take on the device, stage by stage, and what does it say beside the processor's?

    python -m benchmarks.accelerator.validation --output FOLDER --name workstation -- cascade=workstation
    python -m benchmarks.accelerator.validation --output FOLDER --name demo --case demo -- cascade=laptop

A process of its own for each run, so that JAX_PLATFORMS chooses between device and processor; the compilation cache is
that of XDG_CACHE_HOME, empty for a cold run. `--case table` is a mixed table of `--rows` by 12 against another such,
`--case demo` the demo's fresh sample and eighth generation of one dataset. Beside the report's own stages, the seconds
inside the cascade: waiting for the compiler, training, drawing, judging and probing.
"""

import argparse
import itertools
import logging
import re
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.accelerator.device import Part, facts, most_bytes
from benchmarks.demo_cases import demo_case
from benchmarks.validate_latency import table

__all__ = ["stages_of"]

_TOLD = re.compile(r"^(\d+(?:\.\d+)?) (\w+) (.*)$", re.MULTILINE)  # what `told` prints
_seconds: dict[str, float] = defaultdict(float)
_lock = threading.Lock()


def main() -> None:
    """Runs every candidate of the case and writes <name>.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--case", default="table", choices=["table", "demo"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--dataset", default="randhie", help="of the demo")
    parser.add_argument("--steps-share", type=float, default=1.0, help="of every tier's steps")
    parser.add_argument("overrides", nargs="*", help="such as cascade=workstation")
    args = parser.parse_args()
    part = Part(args.output, args.name)
    part.add(overrides=args.overrides, case=args.case, steps_share=args.steps_share)
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("vr").setLevel(logging.INFO)
    begun = time.perf_counter()
    part.add(**facts())
    part.add(device_start_s=round(time.perf_counter() - begun, 2))
    _instrument()
    runs: dict[str, Any] = {}
    for name, candidate, reference in _pairs(args):
        with part.guarded(name):
            runs[name] = validated(candidate, reference, args.overrides, args.steps_share)
            part.add(runs=runs, memory_most_bytes=most_bytes())
    if "failed" in part.document:
        raise SystemExit(1)


def _pairs(args: argparse.Namespace) -> list[tuple[str, pa.Table, pa.Table]]:
    if args.case == "table":
        return [("table", table(args.rows, args.columns, 0), table(args.rows, args.columns, 1))]
    made = demo_case(args.dataset)
    return [(name, made[name], made["reference"]) for name in ("fresh", "generation_8")]


def validated(candidate: pa.Table, reference: pa.Table, overrides: list[str], steps_share: float) -> dict[str, Any]:
    """Returns seconds by stage and within the cascade, and what the report says."""
    from vr.config import compose
    from vr.data.source import open_source
    from vr.pipeline.validate import validate

    config = compose(overrides)
    for tier in config.cascade.tiers:
        tier.steps = max(20, int(tier.steps * steps_share) // 20 * 20)
    _seconds.clear()
    events: list[dict[str, Any]] = []
    begun = time.perf_counter()

    def told(event: Any) -> None:
        told_at = round(time.perf_counter() - begun, 2)
        # For the log, should the run be stopped.
        print(f"{told_at} {event.stage} {event.message}", flush=True)
        events.append(
            {
                "at_s": told_at,
                "stage": event.stage,
                "message": event.message,
                "busy": getattr(event.training, "busy", None),
            }
        )

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        report = validate(open_source(candidate), open_source(reference), config, progress=told, output=output)
    seconds = time.perf_counter() - begun
    return {
        "seconds": round(seconds, 2),
        "stages": {each["stage"]: each["seconds"] for each in report.run.stages},
        "cascade_seconds": report.run.cascade_seconds,
        "within_cascade_s": {name: round(value, 2) for name, value in sorted(_seconds.items())},
        "verdict": report.verdict,
        "risk_score": report.risk_score,
        "tiers": report.cascade.tiers,
        "models_diverged": sum(model["status"] != "trained" for model in report.cascade.models),
        "events": [event for event in events if event["stage"] == "cascade"][-30:],
    }


def stages_of(log: str) -> dict[str, Any]:
    """Returns how far the first run of a log came, for one that gave no report; empty where it had not begun.

    Returns:
      `seconds` and `stage` of the last event, what it said (`message`), the seconds of each tier that was done, from
      what came before it, in `cascade_seconds`, and those until the first of them had begun in `before_s`.
    """
    told = [(float(at), stage, message) for at, stage, message in _TOLD.findall(log)]
    # The next run begins at 0 again.
    ends = [number for number, (one, next_) in enumerate(itertools.pairwise(told), 1) if next_[0] < one[0]]
    told = told[: ends[0]] if ends else told
    if not told:
        return {}
    tiers: dict[str, float] = {}
    before = begun = max((at for at, stage, _ in told if stage == "prescreen"), default=0.0)
    for at, stage, message in told:
        if stage == "cascade" and message.endswith(": done"):
            tiers[message.removesuffix(": done")], begun = round(at - begun, 2), at
    seconds, stage, message = told[-1]
    return {"seconds": seconds, "stage": stage, "message": message, "cascade_seconds": tiers, "before_s": before}


def _instrument() -> None:
    """Times what the cascade spends its time on; calls on several threads count together."""
    from vr.cascade import tier, training
    from vr.cascade.programs import Program

    compiled = Program.compiled.fget  # type: ignore[attr-defined]
    Program.compiled = property(_timed("waiting for the compiler", compiled))  # type: ignore[method-assign,assignment]
    training.Trainer.run = _timed("training, waits included", training.Trainer.run)  # type: ignore[method-assign]
    training.filled = _timed("drawing, stacked", training.filled)
    training.placed = _timed("sending", training.placed)
    tier.Tier.__init__ = _timed("making tiers", tier.Tier.__init__)  # type: ignore[method-assign]
    tier.Tier._train = _timed("training and judging", tier.Tier._train)  # type: ignore[method-assign]
    tier.Tier._probe = _timed("gradient probes", tier.Tier._probe)  # type: ignore[method-assign]


def _timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            with _lock:
                _seconds[name] += time.perf_counter() - begun

    return timed


if __name__ == "__main__":
    main()

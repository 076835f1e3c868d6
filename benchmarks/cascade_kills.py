"""Does a training that is killed at any moment, again and again, end with the numbers of one that never was?

    python -m benchmarks.cascade_kills [--kills 50]

A small cascade in a process of its own, killed (SIGKILL) at moments drawn with a seed, from its start to its end, and
started again on the same folder, until it has been killed so often and is let through to its end. Compared bit for bit
with a run that nobody killed. Minutes. Writes results/cascade_kills.json.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import save

_RUN = """
import json, sys
from pathlib import Path
from benchmarks.cascade_kills import train
document = train(Path(sys.argv[1]))
Path(sys.argv[2]).write_text(json.dumps(document))
"""
_COLUMNS, _CODES, _ROWS = 5, 8, 600
_LONGEST_S = 600.0


def train(folder: Path) -> list[dict[str, Any]]:
    """Trains a small cascade, kept under `folder` after every segment; returns every model's numbers."""
    from vr.cascade.config import CascadeConfig, TierConfig
    from vr.cascade.train import run_cascade

    rng = np.random.default_rng(0)
    first = rng.integers(0, _CODES, (2, _ROWS))
    reference, candidate = (
        np.stack([(each + rng.integers(0, 2, _ROWS) * j) % _CODES for j in range(_COLUMNS)], axis=1) for each in first
    )
    tiers = [
        TierConfig(name="small", seeds=2, width=8, depth=1, steps=400, null_arm=True),
        TierConfig(name="large", seeds=2, width=48, depth=1, steps=400),
    ]
    config = CascadeConfig(preset="kills", tiers=tiers, threads=1, checkpoint_seconds=0.0)
    saved = _Documents(folder / "tiers")
    result = run_cascade(
        reference.astype(np.uint16),
        candidate.astype(np.uint16),
        [_CODES] * _COLUMNS,
        config,
        0,
        saved=saved,
        checkpoints=folder / "training",
    )
    return [
        {"tier": m.tier, "seed": m.seed, "arm": m.arm, "losses": m.losses, "curve": m.loss_curve["loss"]}
        for m in result.models
    ]


class _Documents(dict):
    """Finished tiers as files, each written whole."""

    def __init__(self, folder: Path):
        super().__init__()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.json"):
            super().__setitem__(path.stem, json.loads(path.read_text()))

    def __setitem__(self, name: str, document: dict) -> None:
        super().__setitem__(name, document)
        part = self._folder / f"{name}.part"
        part.write_text(json.dumps(document))
        part.replace(self._folder / f"{name}.json")


def recovered(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Returns how often the process was killed, and whether its numbers are those of one that was not.

    Args:
      folder: Empty.
      kills: How often; a training that is over sooner is begun again.
      seed: Of the moments.
    """
    expected, seconds = _finished(folder / "whole")
    rng, killed, begun, resumed = np.random.default_rng(seed), 0, time.monotonic(), False
    result = folder / "killed.json"
    # No kill comes later than a whole run takes; a machine that has become busier since may need more.
    while killed < kills and time.monotonic() - begun < _LONGEST_S + 2 * kills * seconds:
        process, started = _started(folder / "killed", result), time.monotonic()
        # From its first import to what a whole run takes.
        try:
            process.wait(timeout=float(rng.uniform(0.0, 1.0)) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        if result.exists():
            # It got through between two kills: once more from the start. The machine may have become less busy.
            seconds = min(seconds, time.monotonic() - started) if not resumed else seconds
            if json.loads(result.read_text()) != expected:
                return {"kills": killed, "equal": False}
            result.unlink()
            _emptied(folder / "killed")
            resumed = False
        else:
            resumed = True
        print(f"killed {killed} of {kills}", flush=True)
    found, _ = _finished(folder / "killed", result)
    return {"kills": killed, "equal": found == expected, "models": len(expected), "seconds_of_a_whole_run": seconds}


def _emptied(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def _finished(folder: Path, result: Path | None = None) -> tuple[list[dict[str, Any]], float]:
    result = folder.with_suffix(".json") if result is None else result
    begun = time.monotonic()
    process = _started(folder, result)
    if process.wait(timeout=_LONGEST_S):
        raise RuntimeError(f"the training ended with {process.returncode}")
    return json.loads(result.read_text()), time.monotonic() - begun


def _started(folder: Path, result: Path) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder), str(result)],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[1],
    )


def main() -> None:
    """Kills and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = recovered(Path(name), args.kills, args.seed)
    print(found)
    save("cascade_kills", found, f"python -m benchmarks.cascade_kills --kills {args.kills}")


if __name__ == "__main__":
    main()

"""How busy a GPU is while something runs, as its own counters say: nvidia-smi's utilisation, DCGM's tensor cores.

Utilisation is the share of time in which any kernel ran; the tensor cores' activity (DCGM's field 1004) is the share of
cycles in which their pipe was busy, which is what a benchmark of training asks for. Where a tool is missing, that is
said in place of its figures.
"""

import shutil
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["DeviceUse"]

_EVERY_MS = 200
_NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
    f"--loop-ms={_EVERY_MS}",
)
_DCGM = ("dcgmi", "dmon", "-e", "1001,1004", "-d", str(_EVERY_MS))


class DeviceUse:
    """Samples the counters of all GPUs of this machine within a `with` block; `summary` is complete after it."""

    def __init__(self) -> None:
        self._samplers = {name: _Sampler(command) for name, command in (("smi", _NVIDIA_SMI), ("dcgm", _DCGM))}

    def __enter__(self) -> "DeviceUse":
        for sampler in self._samplers.values():
            sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        for sampler in self._samplers.values():
            sampler.stop()

    def summary(self) -> dict[str, Any]:
        """Returns means over GPUs and samples: shares in 0 to 1, memory in MiB at most; or the reasons why not."""
        smi, dcgm = self._samplers["smi"], self._samplers["dcgm"]
        used, pipes = smi.rows(_smi_row), dcgm.rows(_dcgm_row)
        return {
            "utilisation": _mean([row[0] / 100 for row in used]),
            "most_memory_mib": max((row[1] for row in used), default=None),
            "graphics_engine_active": _mean([row[0] for row in pipes]),
            "tensor_cores_active": _mean([row[1] for row in pipes]),
            "samples": {"nvidia-smi": len(used), "dcgmi": len(pipes)},
            "reasons": [reason for reason in (smi.reason, dcgm.reason) if reason],
        }


class _Sampler:
    """A tool that prints a line for each GPU and sample until it is told to stop."""

    def __init__(self, command: Sequence[str]):
        self._command, self._lines = command, []
        self.reason: str | None = None

    def start(self) -> None:
        if shutil.which(self._command[0]) is None:
            self.reason = f"there is no {self._command[0]}"
            return
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines += self._process.stdout

    def stop(self) -> None:
        if self.reason is None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._thread.join(timeout=10)

    def rows(self, parse: Any) -> list[tuple[float, float]]:
        """Returns what its lines say; sets the reason where none says anything."""
        found = [row for row in map(parse, self._lines) if row is not None]
        if not found and self.reason is None:
            self.reason = f"{self._command[0]} said nothing of use: {' '.join(''.join(self._lines).split())[:200]}"
        return found


def _smi_row(line: str) -> tuple[float, float] | None:
    """Returns utilisation in percent and memory in MiB of a line `98, 1024`."""
    try:
        utilisation, memory = (float(part) for part in line.split(","))
    except ValueError:
        return None
    return utilisation, memory


def _dcgm_row(line: str) -> tuple[float, float] | None:
    """Returns the shares of time and of tensor cycles of a line `GPU 0     0.995        0.112`."""
    words = line.split()
    try:
        engine, tensor = float(words[-2]), float(words[-1])
    except (ValueError, IndexError):
        return None
    return (engine, tensor) if words[0] == "GPU" else None


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None

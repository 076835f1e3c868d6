"""Memory that this process has had."""

import resource
import sys
from pathlib import Path

__all__ = ["peak_bytes"]


def peak_bytes() -> int:
    """Returns the most resident memory that this process has had since its program was started, in bytes."""
    if sys.platform == "linux":
        # getrusage would begin with what the process had that started this one: execve keeps it (getrusage(2)).
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

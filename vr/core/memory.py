"""Memory of this process: the most that it has had, and what it keeps of what was freed."""

import ctypes
import os
import resource
import sys
from pathlib import Path

__all__ = ["give_back_freed_memory", "keep_freed_memory", "peak_bytes"]

# Parameters of mallopt(3): blocks of up to 32 MiB, the most that it allows, come from memory that is kept, of which up
# to so much may lie free at its end before it goes back.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BLOCK, _KEPT_BYTES = 32 << 20, 512 << 20
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def peak_bytes() -> int:
    """Returns the most resident memory that this process has had since its program was started, in bytes."""
    if sys.platform == "linux":
        # getrusage would begin with what the process had that started this one: execve keeps it (getrusage(2)).
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def keep_freed_memory() -> bool:
    """Lets memory that was freed stay with this process for what comes next, in place of going to the system and back.

    Statistics make and drop an array of some MB thousands of times, and each page that the system gives is one that it
    has to clear. For processes that end with their work.

    Returns whether it is so now: only glibc can, and who has set it in the environment knows better.
    """
    set_by_user = "malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _SETTINGS)
    if sys.platform != "linux" or set_by_user:
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _KEPT_BLOCK) and library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def give_back_freed_memory() -> bool:
    """Gives the system what was freed, also between blocks that are still in use; for processes that live long.

    Without it the process keeps the most that it ever had at once, and more as what is in use moves about.

    Returns whether there was anything to give: only glibc can.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return bool(library is not None and hasattr(library, "malloc_trim") and library.malloc_trim(0))

"""Memory of a process: its peak is its own, whatever the one had that started it, and what is freed may be kept."""

import platform
import subprocess
import sys

import pytest

from vr.core.memory import keep_freed_memory, peak_bytes

_CHILD = "from vr.core.memory import peak_bytes; print(peak_bytes())"
_LARGE_PARENT = f"""
import subprocess, sys
content = bytearray(b"x") * (400 << 20)
print(subprocess.run([sys.executable, "-c", {_CHILD!r}], capture_output=True, text=True, check=True).stdout)
"""


def test_memory_that_was_given_back_still_counts():
    before = peak_bytes()
    content = bytearray(b"x") * (before + (64 << 20))
    size = len(content)
    del content
    assert peak_bytes() >= size


def test_a_large_parent_does_not_count(repository):
    done = subprocess.run(
        [sys.executable, "-c", _LARGE_PARENT], capture_output=True, text=True, cwd=repository, check=True
    )
    assert 1 << 20 < int(done.stdout) < 200 << 20


_FAULTS = """
import resource, numpy as np
from vr.core.memory import keep_freed_memory
{call}
for _ in range({rounds}):
    arrays = [np.ones(2 << 20) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_is_used_again(repository):
    def faults(call: str, rounds: int) -> int:
        words = [sys.executable, "-c", _FAULTS.format(call=call, rounds=rounds)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True, cwd=repository).stdout)

    # A round takes 128 MiB: 64 pages, where they are as large as 2 MiB.
    first, later = ([faults(call, rounds) for rounds in (2, 22)] for call in ("", "assert keep_freed_memory()"))
    assert first[1] - first[0] > 20 * 60
    assert later[1] - later[0] < 60


_FRAGMENTS = """
from pathlib import Path
import numpy as np
from vr.core.memory import give_back_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [np.ones(8 << 10) for _ in range(3_000)]
# Some stay in use to the end, so that nothing is free above the last of them.
blocks = blocks[::100]
before = resident()
assert give_back_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_freed_between_blocks_in_use_goes_back(repository):
    # Blocks of 64 KiB, below what the system is asked for one by one.
    words = [sys.executable, "-c", _FRAGMENTS]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=repository)
    assert int(done.stdout) > 100 << 20


def test_who_has_set_it_in_the_environment_knows_better(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1000000")
    assert not keep_freed_memory()

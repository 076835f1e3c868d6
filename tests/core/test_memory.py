"""A process's peak memory is its own, whatever the one had that started it."""

import subprocess
import sys

from vr.core.memory import peak_bytes

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

"""The check of the soak: slopes of known series, and leaks planted in real processes."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.growth import KINDS, Sampler, judged, plant
from benchmarks.slopes import common_slope


def noisy(rng: np.random.Generator, n: int, per_hour: float, near: float, scale: float, start: float):
    """Samples every 2 s of a line with autocorrelated noise."""
    noise = np.zeros(n)
    for i in range(1, n):
        noise[i] = near * noise[i - 1] + rng.normal(0, scale)
    t = 2.0 * np.arange(n)
    return t, start + per_hour * t / 3600 + noise


class TestSlopes:
    def test_a_straight_line_is_its_own_slope(self):
        t = np.arange(0.0, 100.0)
        found = common_slope([(t, 5 + 2 * t)])
        assert (found.per_hour, found.low, found.high) == pytest.approx((7200, 7200, 7200))

    def test_processes_of_different_sizes_share_a_slope(self):
        t = np.arange(0.0, 60.0)
        found = common_slope([(t, 100 + t), (t + 500, 10 + t), (t + 1000, 400 + t)])
        assert found.per_hour == pytest.approx(3600)
        assert found.processes == 3

    def test_a_flat_count_has_no_slope(self):
        t = np.arange(0.0, 200.0)
        found = common_slope([(t, np.full(200, 12.0))])
        assert (found.per_hour, found.low, found.high) == (0, 0, 0)

    def test_too_few_samples_are_none(self):
        assert common_slope([(np.arange(5.0), np.arange(5.0))]) is None
        assert common_slope([]) is None

    @pytest.mark.parametrize("near", [0.0, 0.5, 0.8])
    def test_the_interval_holds_no_slope_where_there_is_none(self, near):
        """Over 100 runs of two processes each; a true 95 % interval misses in 12 or more with probability 0.004."""
        rng = np.random.default_rng(0)
        missed = 0
        for _ in range(100):
            found = common_slope([noisy(rng, 150, 0.0, near, 1.0, start) for start in (100, 300)])
            missed += not found.low <= 0 <= found.high
        assert missed < 12

    def test_a_small_leak_is_seen_through_noise(self):
        """60 MiB an hour, a tenth of what noise moves in a minute, within 20 minutes of samples."""
        rng = np.random.default_rng(1)
        seen = sum(common_slope([noisy(rng, 600, 60.0, 0.5, 1.0, 100)]).low > 30 for _ in range(20))
        assert seen == 20


# A process that works: it takes memory and gives it back, opens and closes files and threads.
_WORKS = """
import sys, tempfile, threading, time
while True:
    with tempfile.TemporaryFile() as file:
        held = b"x" * 500000
        thread = threading.Thread(target=time.sleep, args=(0.001,))
        thread.start()
        thread.join()
    time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        (None, None),
        ("memory", "memory_mib"),
        pytest.param("descriptors", "descriptors", marks=pytest.mark.slow),
        pytest.param("threads", "threads", marks=pytest.mark.slow),
        pytest.param("files", "files", marks=pytest.mark.slow),
    ],
)
def test_a_planted_leak_is_caught_and_no_other(tmp_path, planted, kind):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    if planted is not None:
        environment |= plant(tmp_path / "leak", planted, ["leaky"], every_s=0.1)
    process = subprocess.Popen([sys.executable, "-c", _WORKS, "leaky"], env=environment)
    try:
        with Sampler(lambda: {"server": [process.pid]}, {"server": tmp_path / "tmp"}, every_s=0.1) as sampler:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                time.sleep(0.1)
                seen = sampler.series.get(("server", process.pid))
                if seen is not None and len(seen.at) >= 60:
                    break
    finally:
        process.kill()
        process.wait()
    found = judged(sampler, settle_s=1.0)["server"]
    assert found.keys() == KINDS.keys()
    leaking = {name for name, each in found.items() if each["leaks"]}
    assert leaking - {"memory_mib"} == {kind} - {None, "memory_mib"}
    if planted != "threads":
        # A thread takes memory of its own.
        assert ("memory_mib" in leaking) is (kind == "memory_mib"), found["memory_mib"]
    assert found["descriptors"]["samples"] >= 12


def test_a_leak_is_planted_only_where_it_was_asked_for(tmp_path):
    environment = os.environ | plant(tmp_path / "leak", "files", ["serve"], every_s=0.05)
    environment |= {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", "other"], env=environment, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["leak"]

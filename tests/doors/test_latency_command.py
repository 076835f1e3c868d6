"""The latency benchmark times commands that succeed, and no others."""

import pytest

from benchmarks.measure import timed
from benchmarks.validate_latency import command


def test_a_command_that_ends_well_is_timed(tmp_path):
    timing = timed(command(["--version"], tmp_path))
    assert 0 < timing.cpu_s
    assert timing.peak_bytes > 1e6


@pytest.mark.parametrize("is_cold", [False, True])
def test_a_command_that_fails_is_no_timing(tmp_path, is_cold):
    with pytest.raises(RuntimeError, match=r"ended with 3: .*absent\.parquet"):
        timed(command(["validate", str(tmp_path / "absent.parquet")], tmp_path, is_cold=is_cold))

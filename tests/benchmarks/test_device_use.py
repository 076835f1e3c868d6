"""Counters of a GPU, read from tools that are not here: stand-ins print what those print."""

import time

import pytest

from benchmarks.device_use import DeviceUse

SMI = """#!/bin/sh
trap 'exit 0' TERM
echo "90, 1000"
echo "70, 3000"
echo "[N/A], [N/A]"
while :; do sleep 0.05; done
"""
DCGM = """#!/bin/sh
trap 'exit 0' TERM
echo "#Entity   GRACT        TENSO"
echo "ID"
echo "GPU 0     0.900        0.200"
echo "GPU 1     0.700        N/A"
echo "GPU 0     0.500        0.400"
while :; do sleep 0.05; done
"""


def summary(folder, monkeypatch, **tools: str):
    for name, script in tools.items():
        (folder / name.replace("_", "-")).write_text(script)
        (folder / name.replace("_", "-")).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with DeviceUse() as use:
        time.sleep(0.3)
    return use.summary()


def test_means_are_over_what_the_tools_could_say(tmp_path, monkeypatch):
    found = summary(tmp_path, monkeypatch, nvidia_smi=SMI, dcgmi=DCGM)
    assert found["utilisation"] == pytest.approx(0.8)
    assert found["most_memory_mib"] == 3000
    assert found["graphics_engine_active"] == pytest.approx(0.7)
    assert found["tensor_cores_active"] == pytest.approx(0.3)
    assert found["samples"] == {"nvidia-smi": 2, "dcgmi": 2}
    assert found["reasons"] == []


def test_what_is_not_there_or_fails_is_said_and_is_no_figure(tmp_path, monkeypatch):
    found = summary(tmp_path, monkeypatch, dcgmi="#!/bin/sh\necho Error: no host engine\n")
    assert found["utilisation"] is None
    assert found["tensor_cores_active"] is None
    assert found["reasons"] == ["there is no nvidia-smi", "dcgmi said nothing of use: Error: no host engine"]

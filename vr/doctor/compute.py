"""What computes: jax and its devices, the compilation cache, and a small validation from end to end.

What takes seconds is tried in a process of its own: what crashes or hangs there is a finding, and the other checks are
made.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vr.doctor.finding import BROKEN, NOTE, OK, Finding

__all__ = ["devices", "loops", "self_test", "trees"]

_DEVICES_S, _TRIAL_S = 300.0, 900.0
_NVIDIA = Path("/proc/driver/nvidia/version")


class _Failed(Exception):
    """A program ended badly, or not in time; its argument says how."""


def trees() -> Iterator[Finding]:
    """Yields which library grows the trees of the mix planner."""
    from vr.stats import boosted_models

    if boosted_models.lightgbm is None:
        said = "LightGBM cannot be loaded: scikit-learn grows the mix planner's trees, more slowly"
        yield Finding("trees", NOTE, said, "install an OpenMP runtime (libgomp1 on Debian, libomp on macOS)")
    else:
        yield Finding("trees", OK, f"LightGBM {boosted_models.lightgbm.__version__}")


def loops() -> Iterator[Finding]:
    """Yields where compiled loops are kept, so that they are not compiled anew in every process."""
    try:
        from vr.stats import compiled
    except ImportError as err:
        yield Finding(
            "loops", BROKEN, f"Numba cannot be loaded: {err}", "pip install -U vr, which brings a NumPy that fits"
        )
        return
    said, folder = f"Numba {version('numba')}", compiled.kept_in()
    if folder is None:
        yield Finding("loops", NOTE, f"{said}, kept nowhere: every process compiles for seconds", "set NUMBA_CACHE_DIR")
    else:
        yield Finding("loops", OK, f"{said}, kept in {folder}")


def devices() -> Iterator[Finding]:
    """Yields what jax runs on, whether each device gives right results, and whether compiled programs can be kept."""
    try:
        found = _answer("vr.cascade.devices", timeout_s=_DEVICES_S)
    except _Failed as failed:
        hint = "cascade=none works without jax's devices; JAX_PLATFORMS=cpu leaves accelerators out"
        yield Finding("jax", BROKEN, str(failed), hint)
        return
    names = [f"{each['platform']}:{each['kind']}" for each in found["devices"]]
    said = f"{found['versions']['jax']} on {', '.join(dict.fromkeys(names))} ({len(names)}), backend {found['backend']}"
    wrong = [name for name, each in zip(names, found["devices"], strict=True) if not each["right"]]
    if wrong:
        yield Finding("jax", BROKEN, f"{said}; wrong results on {', '.join(wrong)}", "check the driver", found)
    elif found["backend"] == "cpu" and _NVIDIA.exists():
        yield Finding("jax", NOTE, f"{said}; a GPU is there and not used", "pip install 'vr[cuda12]'", found)
    else:
        yield Finding("jax", OK, said, None, found)
    cache = found["cache"]
    said = f"{cache['folder']}, {cache['programs']} programs, a small one took {found['compile_s']:.1f} s"
    if cache["writable"]:
        yield Finding("compilations", OK, said, None, cache)
    else:
        hint = "set JAX_COMPILATION_CACHE_DIR to another folder, or cascade.compilation_cache=false"
        yield Finding("compilations", BROKEN, f"{cache['folder']} cannot be written", hint, cache)


def self_test() -> Iterator[Finding]:
    """Yields whether a small validation works from end to end, and tells a damaged dataset from a fresh one."""
    with tempfile.TemporaryDirectory(prefix="vr-doctor-") as folder:
        try:
            found = _answer("vr.doctor.trial", folder, timeout_s=_TRIAL_S)
        except _Failed as failed:
            hint = "python -m vr.doctor.trial FOLDER shows all of it"
            yield Finding("self-test", BROKEN, str(failed), hint)
            return
    fresh, damaged = found["fresh"], found["damaged"]
    said = (
        f"fresh rows {fresh['verdict']} at a risk of {fresh['risk_score']:.0f}, damaged rows {damaged['verdict']} at "
        f"{damaged['risk_score']:.0f}; {found['first_s']:.1f} s, then {found['second_s']:.1f} s; "
        f"{found['peak_bytes'] / 2**20:.0f} MiB"
    )
    if damaged["risk_score"] <= fresh["risk_score"] or damaged["verdict"] == "approve":
        hint = "this installation's verdicts cannot be trusted: pip install --force-reinstall vr"
        yield Finding("self-test", BROKEN, said, hint, found)
        return
    yield Finding("self-test", OK, said, None, found)


def _answer(module: str, *words: str, timeout_s: float) -> dict[str, Any]:
    """Returns the last line that a module prints, a JSON object.

    Raises:
      _Failed: if it fails, or takes longer.
    """
    # As `vr` itself was found: neither the working folder nor what lies in it is looked at.
    root = str(Path(__file__).resolve().parents[2])
    start = "import runpy, sys\nsys.path.insert(0, sys.argv.pop(1))\nimport vr\ndel sys.path[0]\n"
    start += "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-P", "-c", start, root, module, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise _Failed(f"nothing came within {timeout_s:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _Failed(f"ended with code {done.returncode}: {lines[-1].strip() if lines else 'no word'}")
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise _Failed("printed nothing that can be read") from None
    return found

"""What jax has to work with, and whether it works: a program compiled for every device, run, and its result looked at.

python -m vr.cascade.devices

Prints one line of JSON. It is a program of its own since a broken driver may hang a process, or end it.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vr.cascade import compilation_cache

__all__ = ["account"]

_SIZE = 64
_TOLERANCE = 1e-3  # of a sum of 64 products; an accelerator may multiply in fewer bits


def account() -> dict[str, Any]:
    """Returns versions, devices, whether each gives the right result, and the state of the compilation cache.

    Returns:
      {"versions": {package: version}, "backend": name, "devices": [{"kind", "platform", "bytes", "free_bytes",
      "right"}], "compile_s": seconds, "cache": {"folder", "programs", "writable"}}; bytes are None where a device does
      not say.
    """
    folder = compilation_cache.enable()
    cache = {"folder": str(folder), "writable": _is_writable(folder)}
    begun = time.perf_counter()
    devices = [_device(device) for device in jax.local_devices()]
    seconds = time.perf_counter() - begun
    cache["programs"] = sum(1 for path in folder.glob("*-cache")) if folder.is_dir() else 0
    return {
        "versions": {"jax": jax.__version__, "jaxlib": jax.lib.__version__},
        "backend": jax.default_backend(),
        "devices": devices,
        "compile_s": round(seconds, 3),
        "cache": cache,
    }


def _device(device: Any) -> dict[str, Any]:
    stats = device.memory_stats() or {}
    limit, used = stats.get("bytes_limit"), stats.get("bytes_in_use", 0)
    x = np.random.default_rng(0).standard_normal((_SIZE, _SIZE)).astype(np.float32) / _SIZE**0.5
    # The gradient of |x x|^2 / 2, by hand and by jax: training needs no more kinds of operation to work.
    product = x.astype(np.float64) @ x
    expected = product @ x.T + x.T @ product
    with jax.default_device(device):
        found = jax.jit(jax.grad(lambda y: 0.5 * jnp.sum((y @ y) ** 2)))(jax.device_put(x, device))
    error = float(np.max(np.abs(np.asarray(found) - expected)))
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "bytes": limit,
        "free_bytes": None if limit is None else limit - used,
        # Products in bfloat16 are off by some hundredths.
        "right": bool(error < (_TOLERANCE if device.platform == "cpu" else 100 * _TOLERANCE)),
        "error": error,
    }


def _is_writable(folder: Path) -> bool:
    probe = folder / f".vr-doctor.{os.urandom(8).hex()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(account()) + "\n")

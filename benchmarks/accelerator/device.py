"""What every step of the accelerator's benchmark shares: the device's facts and ceilings, and how a part is written."""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["PEAK_FLOPS", "Part", "copy_bytes_a_second", "facts", "median_seconds", "most_bytes", "product_flops"]

PEAK_FLOPS = 989e12  # a second, of an H100 SXM in dense bfloat16: NVIDIA's data sheet


class Part:
    """One step's result, written after every addition, so that what runs out of time keeps what it has."""

    def __init__(self, folder: Path, name: str):
        self.path = folder / f"{name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.document: dict[str, Any] = {}

    def add(self, **found: Any) -> None:
        """Adds entries, prints them, and writes the whole."""
        self.document |= found
        scratch = self.path.with_suffix(".part")
        scratch.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
        os.replace(scratch, self.path)
        for name, value in found.items():
            print(f"{name}: {json.dumps(value)[:600]}", flush=True)

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """Notes the error of a block under `failed` and goes on: one failure must not lose the figures after it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            self.add(failed=self.document.get("failed", {}) | {name: text})


def facts() -> dict[str, Any]:
    """Returns the device's name and memory, and the packages' versions."""
    from importlib.metadata import version

    device = jax.devices()[0]
    stats = device.memory_stats() or {}
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "memory_limit_bytes": stats.get("bytes_limit"),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
    }


def most_bytes() -> int | None:
    """Returns the bytes that this process had in use on its first device at most; None where it does not say."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Returns the middle of the seconds that `call` takes until its result is there, after one call that warms up."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def product_flops(kind: Any, size: int, precision: str | None = None, repeats: int = 10) -> float:
    """Returns operations a second of a product of two random square matrices: a ceiling that this device reaches."""
    a, b = (
        jax.random.normal(key, (size, size), jnp.float32).astype(kind) for key in jax.random.split(jax.random.key(0))
    )
    product = jax.jit(lambda x, y: jnp.matmul(x, y, precision=precision))
    return 2 * size**3 / median_seconds(lambda: product(a, b), repeats)


def copy_bytes_a_second(num_bytes: int, repeats: int = 10) -> float:
    """Returns bytes read and written a second where an array is negated."""
    x = jax.random.normal(jax.random.key(0), (num_bytes // 4,), jnp.float32)
    negated = jax.jit(lambda y: -y)
    return 2 * x.nbytes / median_seconds(lambda: negated(x), repeats)

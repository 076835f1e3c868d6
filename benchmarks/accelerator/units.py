"""What does the device reach, and are pair counts by a one-hot Gram product exact and fast on it?

    python -m benchmarks.accelerator.units --output FOLDER

Ceilings: products of random matrices in bfloat16, float32 as JAX takes it by default (TF32 on an Ampere or later) and
at full precision; a large copy; host to device. Pair counts: the contingency tables of all pairs of columns as one
product of one-hot codes, bfloat16 in and float32 out, which counts exactly up to 2^24, against
`vr.stats.dependence.pair_tables` on this machine's processor.
"""

import argparse
import functools
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.device import Part, copy_bytes_a_second, facts, median_seconds, product_flops
from vr.stats.dependence import pair_tables


def main() -> None:
    """Measures and writes units.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000, help="of the table whose pairs are counted")
    parser.add_argument("--size", type=int, default=8_192, help="of the matrices that are multiplied")
    args = parser.parse_args()
    part = Part(args.output, "units")
    part.add(**facts())
    for name, kind, precision in (
        ("bfloat16", jnp.bfloat16, None),
        ("float32_default", jnp.float32, None),
        ("float32_highest", jnp.float32, "highest"),
    ):
        with part.guarded(name):
            part.add(**{f"product_{name}_flops_a_second": round(product_flops(kind, args.size, precision))})
    with part.guarded("default precision"):
        part.add(float32_default_error=product_error(1_024))
    with part.guarded("copy"):
        part.add(copy_bytes_a_second=round(copy_bytes_a_second(args.size**2 * 16)))
    with part.guarded("transfer"):
        host = np.random.default_rng(0).random(1 << 25, dtype=np.float32)
        part.add(host_to_device_bytes_a_second=round(host.nbytes / median_seconds(lambda: jax.device_put(host), 5)))
    for columns, codes in ((12, 16), (32, 64)):
        with part.guarded(f"pair counts {columns} x {codes}"):
            part.add(**{f"pair_counts_{columns}_columns_{codes}_codes": counted(args.rows, columns, codes)})


def product_error(size: int) -> float:
    """Returns the relative error, in norm, of a float32 product as JAX takes it by default against float64 in NumPy."""
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    found = np.asarray(jnp.asarray(a) @ jnp.asarray(b), np.float64)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@functools.partial(jax.jit, static_argnames=("num_codes", "parts"))
def gram_tables(codes: jax.Array, num_codes: int, parts: int) -> jax.Array:
    """Returns all pairs' contingency tables, float32 `[d * k, d * k]`: entry (i * k + a, j * k + b) counts a beside b.

    Args:
      codes: int32 `[n, d]` in 0 to `num_codes` - 1, n a multiple of `parts` and below 2^24, to which float32 counts.
      num_codes: k.
      parts: In which the rows are taken, one after the other, for the memory of their one-hot codes.
    """
    width = codes.shape[1] * num_codes

    def add(total: jax.Array, rows: jax.Array) -> tuple[jax.Array, None]:
        hot = jax.nn.one_hot(rows, num_codes, dtype=jnp.bfloat16).reshape(rows.shape[0], width)
        return total + jnp.matmul(hot.T, hot, preferred_element_type=jnp.float32), None

    whole = codes.reshape(parts, -1, codes.shape[1])
    return jax.lax.scan(add, jnp.zeros((width, width), jnp.float32), whole)[0]


def counted(num_rows: int, columns: int, num_codes: int, parts: int = 8) -> dict[str, Any]:
    """Returns counts a second (rows times pairs) of both ways, and whether every count agrees."""
    rng = np.random.default_rng(columns)
    codes = np.minimum(rng.geometric(0.15, (num_rows // parts * parts, columns)) - 1, num_codes - 1).astype(np.int32)
    sizes = np.full(columns, num_codes)
    pairs = len(codes) * columns * (columns - 1) // 2
    begun = time.perf_counter()
    exact = dict(pair_tables(codes, sizes))
    on_processor = time.perf_counter() - begun
    placed = jax.device_put(codes)
    seconds = median_seconds(lambda: gram_tables(placed, num_codes, parts), 5)
    with_transfer = median_seconds(lambda: np.asarray(gram_tables(jax.device_put(codes), num_codes, parts)), 3)
    found = np.asarray(gram_tables(placed, num_codes, parts)).astype(np.int64)
    found = found.reshape(columns, num_codes, columns, num_codes)
    differing = sum(int((found[i][:, i + 1 :].transpose(1, 0, 2) != tables).sum()) for i, tables in exact.items())
    return {
        "rows": len(codes),
        "counts": pairs,
        "cells_that_differ": differing,
        "processor_counts_a_second": round(pairs / on_processor),
        "device_counts_a_second": round(pairs / seconds),
        "device_counts_a_second_with_transfer": round(pairs / with_transfer),
        "device_product_flops_a_second": round(2 * len(codes) * (columns * num_codes) ** 2 / seconds),
    }


if __name__ == "__main__":
    main()

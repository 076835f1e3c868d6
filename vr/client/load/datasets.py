"""Two small datasets to be asked about, where nobody names any."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write_pair"]

_LEVELS = ("rare", "low", "middle", "high")


def write_pair(folder: Path, rows: int = 2_000, columns: int = 12) -> tuple[Path, Path]:
    """Writes candidate.parquet and reference.parquet, fresh samples of one distribution, and returns where they are.

    Args:
      folder: Where to.
      rows: Of each.
      columns: Of each, 3 or more: one of text, one of truth values, and numbers that depend on each other.
    """
    paths = (folder / "candidate.parquet", folder / "reference.parquet")
    for seed, path in enumerate(paths):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, columns)) @ (np.eye(columns) + 0.2 * np.tri(columns, k=-1))
        named = {f"x{i}": x[:, i] for i in range(columns - 2)}
        group = np.array(_LEVELS)[np.searchsorted([-1.5, 0.0, 1.2], x[:, -2])]
        pq.write_table(pa.table(named | {"group": group, "flag": x[:, -1] > 0}), path)
    return paths

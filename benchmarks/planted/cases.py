"""Which datasets, which rows of them, and which files: the cases of the planted defects."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from benchmarks.datasets import load
from benchmarks.planted.plant import KINDS, Material, plant
from synthetic.edits import Damaged
from synthetic.lineage import lineage
from synthetic.table import derive_key, stream

__all__ = ["DATASETS", "SHARES", "Case", "cases_of", "family_of", "material_of", "reference_of"]

KEY = 6  # of every draw below
SHARES = (0.01, 0.05, 0.1)
GENERATION = 8  # of a generator refitted to its own output; the collapse study finds nearly all of these collapsed
_MOST_CANDIDATE, _MOST_REFERENCE = 1_000, 2_000
_FAMILIES = (
    "gaussian_copula",
    "sequential_trees",
    "gaussian_mixture",
    "bayesian_network",
    "kernel_density",
    "neighbour_interpolation",
)

# Every dataset of 2,000 rows or more and 7 to 25 columns of which under a tenth of the rows repeat others, and of whose
# best predicted column, the label, real rows teach three fifths or more (`benchmarks.datasets.targets`): where a label
# cannot be predicted nobody can say that it is wrong, nor which of many equal rows is a copy.
DATASETS: dict[str, str] = {
    "fair": "yrs_married",
    "cps91": "earns",
    "injury": "prewage",
    "wagepan": "exper",
    "crime1": "tottime",
    "twoyear": "BA",
    "ImageSegments": "category",
    "stackoverflow": "Salary",
    "txhousing": "sales",
    "nassCDS": "yearVeh",
}


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
      dataset: Name in `benchmarks.datasets.DATASETS`.
      kind: Of the defect.
      share: Of the rows.
    """

    dataset: str
    kind: str
    share: float

    def make(self) -> Damaged:
        """Returns the file and the rows of it that are wrong."""
        return plant(material_of(self.dataset), self.kind, self.share, derive_key(KEY, self.dataset, self.kind))

    @property
    def name(self) -> str:
        """Unique among all cases."""
        return f"{self.dataset}-{self.kind}-{round(100 * self.share)}"


def cases_of(dataset: str) -> Iterator[Case]:
    """Yields a dataset's files: every kind at every share."""
    for kind in KINDS:
        for share in SHARES:
            yield Case(dataset, kind, share)


def reference_of(dataset: str) -> pa.Table:
    """Returns the real rows that a user would hold."""
    return _parts(dataset)[0]


def family_of(dataset: str) -> str:
    """Returns the generator family whose rows a dataset's files get: in turn over the datasets."""
    return _FAMILIES[list(DATASETS).index(dataset) % len(_FAMILIES)]


@cache
def material_of(dataset: str) -> Material:
    """Returns what a dataset's files are made of."""
    _, rows, train = _parts(dataset)
    *_, last = lineage(train, family_of(dataset), GENERATION, derive_key(KEY, dataset, "lineage"))
    return Material(rows, last, DATASETS[dataset])


@cache
def _parts(dataset: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Disjoint rows: the reference, the file's, and those that the generator is fitted to."""
    table = load(dataset)
    table = table.take(stream(KEY, dataset, "parts").permutation(table.num_rows))
    size = min(_MOST_CANDIDATE, table.num_rows // 4)
    reference = min(_MOST_REFERENCE, table.num_rows - 2 * size)
    return table.slice(0, reference), table.slice(reference, size), table.slice(reference + size, size)

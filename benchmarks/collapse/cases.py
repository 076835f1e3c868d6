"""The labelled cases: which candidate is made of which real rows, by what.

A *split* is one draw of disjoint real rows of a dataset: the reference that a user would hold, the rows that generators
are trained on, and the untouched rest. Most datasets give two, one large and one small, since small references are
where false alarms come from. Each split gets cases of every kind by rotation, so that families, depths and strengths
are spread evenly over datasets of every size.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets import DATASETS, load
from synthetic.damage import DAMAGES
from synthetic.families import FAMILIES
from synthetic.harmless import HARMLESS
from synthetic.lineage import lineage
from synthetic.table import derive_key, stream

__all__ = ["Case", "Parts", "Split", "cases_of", "made_of", "make_cases", "parts_of", "splits"]

KEY = 20_26  # of every draw below; another key is another benchmark
MIN_ROWS = 500  # of a dataset that takes part
_LARGE, _SMALL = 1_500, 150  # most and least rows of a candidate
_MAX_TEST = 4_000  # untouched rows that judge
# Families that take seconds a generation stop at four generations.
_SLOW = ("variational_autoencoder", "autoregressive_network")
_DEPTHS = ((1, 4), (2, 8), (1, 8), (4, 16), (2, 16))
_SLOW_DEPTHS = ((1, 4), (1, 2), (2, 4))
_REAL_SHARES = (0.1, 0.3, 0.5)
_MILD_SHARES = (0.5, 0.8)
_TEMPERATURES = (0.3, 0.5, 0.7)
_DAMAGE_STRENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
_HARMLESS_STRENGTHS = (0.05, 0.1, 0.2, 0.3)
_NUM_DAMAGES, _NUM_HARMLESS = 5, 5
# Made from the reference itself; changes that only copy rows leave nothing to compare, as copies are set aside.
_NUM_SEEN_FAMILIES, _NUM_SEEN_DAMAGES = 4, 2
_SEEN_HARMLESS = ("jitter", "round_numbers")


@dataclass(frozen=True)
class Split:
    """One draw of disjoint real rows.

    Attributes:
      dataset: Name in `benchmarks.datasets.DATASETS`.
      index: 0 for the large draw, 1 for the small one.
      ordinal: Position among all splits; what rotations start from.
      candidate_rows: Rows of every candidate, and of the rows that generators are trained on.
      reference_rows: Rows of the reference.
    """

    dataset: str
    index: int
    ordinal: int
    candidate_rows: int
    reference_rows: int

    @property
    def name(self) -> str:
        """For files and tables."""
        return f"{self.dataset}-{self.index}"


@dataclass(frozen=True)
class Parts:
    """The rows of a split, disjoint: `train` feeds generators and damages, `test` judges, `pool` is every other row.

    `pool` begins with the reference; `fresh` is a further part of it that no generator saw.
    """

    reference: pa.Table
    fresh: pa.Table
    train: pa.Table
    test: pa.Table
    pool: pa.Table


@dataclass(frozen=True)
class Case:
    """One candidate.

    Attributes:
      kind: `real`, `lineage`, `damage` or `harmless`.
      source: The generator family, damage or harmless change: what leave-generator-out leaves out.
      generation: Of a lineage, else 0.
      workflow: Of a lineage, else empty.
      real_share: Of a `mix` lineage.
      strength: Of a damage or harmless change.
      temperature: Of a lineage's sampling.
      seen: Made from the reference's own rows, as by somebody who fits a generator to the file that is to judge it.
    """

    dataset: str
    split: str
    kind: str
    source: str
    generation: int = 0
    workflow: str = ""
    real_share: float = 0.0
    strength: float = 0.0
    temperature: float = 1.0
    seen: bool = False

    @property
    def id(self) -> str:
        """Unique among all cases."""
        parts = [self.split, self.source]
        if self.kind == "lineage":
            parts += [self.workflow, f"g{self.generation}"]
            parts += [f"r{self.real_share:g}"] if self.workflow == "mix" else []
            parts += [f"t{self.temperature:g}"] if self.temperature != 1 else []
        elif self.kind != "real":
            parts.append(f"s{self.strength:g}")
        parts += ["seen"] if self.seen else []
        return "/".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Returns the case as a row of a table."""
        return {"case": self.id, **asdict(self)}


def splits(datasets: list[str] | None = None) -> list[Split]:
    """Returns all splits in a fixed order, or those of some datasets with the same contents as among all."""
    found: list[Split] = []
    for name, dataset in DATASETS.items():
        if dataset.rows < MIN_ROWS:
            continue
        rng = stream(KEY, "split", name)
        most = min(_LARGE, dataset.rows // 5)
        sizes = [most] if most < 2 * _SMALL else [most, int(np.exp(rng.uniform(np.log(_SMALL), np.log(most / 2))))]
        for index, rows in enumerate(sizes):
            # As many reference rows as candidate rows, or twice as many.
            found.append(Split(name, index, len(found), rows, rows * (1 + int(rng.integers(2)))))
    return [split for split in found if datasets is None or split.dataset in datasets]


def parts_of(split: Split) -> Parts:
    """Returns the split's rows."""
    table = load(split.dataset)
    order = stream(KEY, "rows", split.dataset, split.index).permutation(table.num_rows)
    m, r = split.candidate_rows, split.reference_rows
    # Of what the others leave; rows beyond the most that judge go to the pool.
    num_test = min(_MAX_TEST, table.num_rows - r - 2 * m)
    ends = np.cumsum([r, m, m])
    reference, fresh, train = (table.take(order[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True))
    test = table.take(order[ends[-1] : ends[-1] + num_test])
    rest = table.take(order[ends[-1] + num_test :])
    return Parts(reference, fresh, train, test, pa.concat_tables([reference, fresh, rest]).combine_chunks())


def cases_of(split: Split) -> list[Case]:
    """Returns the split's cases, decided by its place in the rotation alone."""
    k = split.ordinal
    families = list(FAMILIES)
    turn = [families[(4 * k + i) % len(families)] for i in range(len(families))]

    def case(kind: str, source: str, **rest: Any) -> Case:
        return Case(split.dataset, split.name, kind, source, **rest)

    found = [case("real", "real")]
    for i, family in enumerate(turn[:5]):
        depths = _SLOW_DEPTHS if family in _SLOW else _DEPTHS
        shallow, deep = depths[(k + i) % len(depths)]
        # Deep lineages are the easy cases: three of a split are enough.
        for generation in (shallow, deep) if i < 3 else (shallow,):
            found.append(case("lineage", family, generation=generation, workflow="replace"))
    for i, family in enumerate(turn[5:7]):
        generation = 4 if family in _SLOW else (4, 8)[(k + i) % 2]
        share = _REAL_SHARES[(k + i) % 3]
        found.append(case("lineage", family, generation=generation, workflow="mix", real_share=share))
    # Mild ones, that mostly keep their skill: the negatives that a detector of synthetic rows calls collapsed.
    for i, family in enumerate(turn[:2]):
        share = _MILD_SHARES[(k + i) % 2]
        found.append(case("lineage", family, generation=1 + (k // 2 + i) % 2, workflow="mix", real_share=share))
    found.append(case("lineage", turn[2], generation=1, workflow="accumulate"))
    family = turn[7]
    found.append(case("lineage", family, generation=2 if family in _SLOW else 4, workflow="accumulate"))
    found.append(case("lineage", turn[8], generation=1, workflow="replace", temperature=_TEMPERATURES[k % 3]))
    for registry, kind, number, strengths in (
        (DAMAGES, "damage", _NUM_DAMAGES, _DAMAGE_STRENGTHS),
        (HARMLESS, "harmless", _NUM_HARMLESS, _HARMLESS_STRENGTHS),
    ):
        names = list(registry)
        for i in range(number):
            name = names[(number * k + i) % len(names)]
            # Strengths move on once for each full turn through the names, so that all pairs come up.
            turn_number = (number * k + i) // len(names)
            found.append(case(kind, name, strength=strengths[(turn_number + i) % len(strengths)]))
    return found + _seen_cases(split)


def _seen_cases(split: Split) -> list[Case]:
    """Returns the cases that are made from the reference."""
    k = split.ordinal
    families, damages = list(FAMILIES), list(DAMAGES)

    def case(kind: str, source: str, **rest: Any) -> Case:
        return Case(split.dataset, split.name, kind, source, seen=True, **rest)

    turn = [families[(_NUM_SEEN_FAMILIES * k + i) % len(families)] for i in range(_NUM_SEEN_FAMILIES + 1)]
    found = [case("lineage", family, generation=1, workflow="replace") for family in turn[:_NUM_SEEN_FAMILIES]]
    for i, family in enumerate(turn[:2]):
        found.append(
            case("lineage", family, generation=2 if family in _SLOW else (4, 8)[(k + i) % 2], workflow="replace")
        )
    found.append(case("lineage", turn[-1], generation=1, workflow="mix", real_share=_REAL_SHARES[k % 3]))
    for i in range(_NUM_SEEN_DAMAGES):
        place = _NUM_SEEN_DAMAGES * k + i
        strength = _DAMAGE_STRENGTHS[(place // len(damages) + place) % len(_DAMAGE_STRENGTHS)]
        found.append(case("damage", damages[place % len(damages)], strength=strength))
    name = _SEEN_HARMLESS[k % len(_SEEN_HARMLESS)]
    return [*found, case("harmless", name, strength=_HARMLESS_STRENGTHS[k // 2 % len(_HARMLESS_STRENGTHS)])]


def make_cases(split: Split, parts: Parts, cases: Iterable[Case] | None = None) -> Iterator[tuple[Case, pa.Table]]:
    """Yields a split's cases, or some of them, with their rows; a lineage is walked once for all its depths."""
    cases = cases_of(split) if cases is None else cases
    lineages: dict[tuple, list[Case]] = {}
    for case in cases:
        if case.kind == "lineage":
            walked = (case.source, case.workflow, case.real_share, case.temperature, case.seen)
            lineages.setdefault(walked, []).append(case)
        else:
            yield case, _single(case, split, parts)
    for (family, workflow, share, temperature, seen), members in lineages.items():
        key = derive_key(KEY, split.name, family, workflow)
        real = parts.reference if seen else parts.train
        walk = lineage(real, family, max(m.generation for m in members), key, workflow, share, temperature=temperature)
        wanted = {member.generation: member for member in members}
        for generation, table in enumerate(walk, start=1):
            if generation in wanted:
                yield wanted[generation], _fitted(table, split, wanted[generation])


def made_of(case: Case, split: Split, parts: Parts) -> pa.Table:
    """Returns the rows that a damage or a harmless change was done to."""
    return _fitted(parts.reference, split, case) if case.seen else parts.train


def _single(case: Case, split: Split, parts: Parts) -> pa.Table:
    key = derive_key(KEY, case.id)
    if case.kind == "real":
        return parts.fresh
    rows = made_of(case, split, parts)
    if case.kind == "damage":
        return DAMAGES[case.source](rows, case.strength, key).table
    return HARMLESS[case.source](rows, case.strength, key)


def _fitted(table: pa.Table, split: Split, case: Case) -> pa.Table:
    """Returns at most the split's number of rows: an accumulated table is sampled down, so that sizes tell nothing."""
    if table.num_rows <= split.candidate_rows:
        return table
    chosen = stream(KEY, case.id, "thin").permutation(table.num_rows)[: split.candidate_rows]
    return table.take(np.sort(chosen))

"""How many generations until collapse, if a generator is refitted to this candidate and then to its own output.

Nobody's generator is at hand here, so generators of our own stand for it: chains of a few families, fitted to the
candidate's rows and then, generation after generation, to what they made, alone (`replace`) or with everything before
(`accumulate`). After each the skill is measured that forests lose by learning from it instead of from real rows.

References:
  Shumailov et al. 2024 (Nature 631) for replace; Gerstgrasser et al. 2024 (arXiv 2404.01413) for accumulate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from vr.stats.skill import SkillTest

__all__ = ["COLLAPSED_ABOVE", "FAMILIES", "WORKFLOWS", "Chain", "Forecast", "forecast", "until_collapse"]

Workflow = Literal["replace", "accumulate"]
WORKFLOWS: tuple[Workflow, ...] = ("replace", "accumulate")
# Quick to fit, and unlike each other in what they forget.
FAMILIES = ("gaussian_copula", "sequential_trees", "bayesian_network", "kernel_density")
COLLAPSED_ABOVE = 0.15  # share of skill lost
_MOST_ROWS = 2_000


@dataclass(frozen=True)
class Chain:
    """One family's chain.

    Attributes:
      family: Of generators.
      workflow: What each generation is fitted to.
      lost: float `[g + 1]`, share of skill lost by learning from the candidate and from each generation.
    """

    family: str
    workflow: Workflow
    lost: np.ndarray


@dataclass(frozen=True)
class Forecast:
    """Generations until collapse by one workflow, over the families.

    Attributes:
      workflow: Which.
      value: Median over families; None where it lies beyond what was walked.
      lower: Of the first family to collapse, None where none does.
      upper: Of the last, None where one does not.
      generations: That were walked.
    """

    workflow: Workflow
    value: float | None
    lower: float | None
    upper: float | None
    generations: int


def forecast(
    candidate: pa.Table,
    encode: Callable[[pa.Table], np.ndarray],
    test: SkillTest,
    generations: int,
    seed: int,
    families: Sequence[str] = FAMILIES,
    threads: int = 1,
    on_chain: Callable[[int], None] | None = None,
) -> list[Chain]:
    """Walks the chains.

    Args:
      candidate: Its rows, in the columns that are compared; 2,000 are used at most.
      encode: Gives the codes of the columns that `test` reads, `[n, d]`.
      test: Of the reference.
      generations: 1 or more.
      seed: Of everything drawn.
      families: Names in the registry of generators.
      threads: Columns whose forests are fitted at a time.
      on_chain: Told the number of chains done.

    Raises:
      ValueError: as TypeError, where a column cannot be generated (infinite numbers, lists, bytes).
    """
    # Loading what generates takes longer than a run without a forecast should.
    from synthetic.lineage import lineage

    rows = np.sort(np.random.default_rng([seed, 21]).permutation(candidate.num_rows)[:_MOST_ROWS])
    start = candidate.take(pa.array(rows)).combine_chunks()
    first = test.lost(encode(start), threads).share
    chains = []
    for workflow in WORKFLOWS:
        for family in families:
            walk = lineage(start, family, generations, seed, workflow)
            lost = [first, *(test.lost(encode(table), threads, num_draws=1).share for table in walk)]
            chains.append(Chain(family, workflow, np.array(lost)))
            if on_chain is not None:
                on_chain(len(chains))
    return chains


def until_collapse(chains: Sequence[Chain], workflow: Workflow, threshold: float = COLLAPSED_ABOVE) -> Forecast:
    """Returns the generations until more than `threshold` of the skill is lost, over the families of a workflow.

    The losses of a chain are made monotone first: they may only rise.
    """
    mine = [chain.lost for chain in chains if chain.workflow == workflow]
    generations = len(mine[0]) - 1
    found = np.sort([_first_above(lost, threshold) for lost in mine])

    def known(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    # The lower of the two in the middle: what is not reached has no number to take a mean with.
    return Forecast(workflow, known(found[(len(found) - 1) // 2]), known(found[0]), known(found[-1]), generations)


def _first_above(lost: np.ndarray, threshold: float) -> float:
    from sklearn.isotonic import IsotonicRegression

    rising = IsotonicRegression().fit_transform(np.arange(len(lost)), lost)
    above = np.flatnonzero(rising > threshold)
    return float(above[0]) if len(above) else float("inf")

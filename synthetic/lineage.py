"""Lineages: what becomes of data when a generator is refitted to its own output, generation after generation.

Workflows, as the collapse literature distinguishes them:

* `replace`: each generation is trained on the output of the last alone (Shumailov et al., Nature 2024);
* `accumulate`: on the real rows and the output of all generations so far (Gerstgrasser et al., arXiv 2404.01413). Each
  generator is fitted to as many of these rows as there were at the start, drawn anew: else the sixteenth would take
  sixteen times as long as the first. That is somewhat harsher than fitting to all of them, and what Kazdan et al.
  (arXiv 2410.16713) call accumulate-subsample;
* `mix`: on as many rows as at the start, of which a share is real (Bertrand et al., arXiv 2310.00429).
"""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from synthetic.families import FAMILIES
from synthetic.table import Family, derive_key, stream

__all__ = ["Workflow", "lineage"]

Workflow = Literal["replace", "accumulate", "mix"]


def lineage(
    real: pa.Table,
    family: str | Family,
    generations: int,
    key: int,
    workflow: Workflow = "replace",
    real_share: float = 0.0,
    temperature: float = 1.0,
) -> Iterator[pa.Table]:
    """Yields the dataset of generation 1, 2, ... `generations`: what the next generation would be trained on.

    Args:
      real: The rows that generation 1's generator is fitted to, n of them.
      family: A family, or its name in `FAMILIES`.
      generations: 1 or more.
      key: Non-negative integer; generation g is the same whatever `generations` is.
      workflow: See the module's head. `replace` and `mix` yield n rows, `accumulate` yields (g + 1) n.
      real_share: Share of real rows in each generation, 0..1; only with `mix`. They are drawn anew each time, never
        the same row twice.
      temperature: Sampling temperature of every generation.

    Raises:
      ValueError: An argument out of range, or `real_share` with a workflow that has none.
      KeyError: A family that the registry does not have.
    """
    if generations < 1:
        raise ValueError(f"generations must be 1 or more, got {generations}")
    if workflow not in ("replace", "accumulate", "mix"):
        raise ValueError(f"workflow must be replace, accumulate or mix, got {workflow!r}")
    if not 0.0 <= real_share <= 1.0 or (real_share and workflow != "mix"):
        raise ValueError(f"real_share must be in 0..1, and 0 unless the workflow is mix, got {real_share}")
    return _generate(
        real,
        FAMILIES[family] if isinstance(family, str) else family,
        generations,
        key,
        workflow,
        real_share,
        temperature,
    )


def _generate(
    real: pa.Table,
    family: Family,
    generations: int,
    key: int,
    workflow: Workflow,
    real_share: float,
    temperature: float,
) -> Iterator[pa.Table]:
    n = real.num_rows
    dataset = real
    for generation in range(1, generations + 1):
        known = dataset
        if dataset.num_rows > n:
            known = dataset.take(stream(key, "known", generation).permutation(dataset.num_rows)[:n])
        generator = family.fit(known, derive_key(key, "fit", generation))
        num_real = round(real_share * n)
        made = generator.sample(n - num_real, derive_key(key, "sample", generation), temperature)
        if workflow == "replace":
            dataset = made
        elif workflow == "accumulate":
            dataset = _join(dataset, made)
        else:
            rng = stream(key, "real", generation)
            kept = real.take(rng.permutation(n)[:num_real])
            # Shuffled, so that nothing can be read off the place in the file.
            dataset = _join(kept, made).take(rng.permutation(n))
        yield dataset


def _join(first: pa.Table, second: pa.Table) -> pa.Table:
    """The rows of both in one chunk; dictionaries that differ are made one."""
    return pa.concat_tables([first, second]).unify_dictionaries().combine_chunks()

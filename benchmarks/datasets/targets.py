"""How much skill is there to lose on each column of a dataset, when half of its rows train a model?

    OMP_NUM_THREADS=1 python -m benchmarks.datasets.targets gbsg2 dd

The share of the prior's loss that real rows take away: `targets` are columns where it is 5 % or more. A few
seconds a dataset on one core, a minute or more where columns have many classes.
"""

import argparse
import time
from collections.abc import Sequence

from benchmarks.datasets import DATASETS, load
from benchmarks.skill_loss import MIN_SKILL, measure_real
from synthetic.table import stream

__all__ = ["skill_to_lose"]


def skill_to_lose(name: str, columns: Sequence[str] | None = None, seed: int = 0) -> dict[str, float]:
    """Returns `1 - L_real / L_prior` by column, most first: 1 is perfect prediction, 0 the marginal's.

    Args:
      name: Name in `DATASETS`.
      columns: Columns to measure, each predicted from all others; None for all.
      seed: Non-negative; decides which half of the rows trains, and the model's randomness.
    """
    table = load(name)
    table = table.take(stream(seed, "split").permutation(table.num_rows))
    half = table.num_rows // 2
    arm = measure_real(table.slice(0, half), table.slice(half), columns or table.column_names, (seed,))
    skills = {column: float(1 - real[0] / prior[0]) for column, (real, prior) in arm.losses.items()}
    return dict(sorted(skills.items(), key=lambda item: -item[1]))


def main() -> None:
    """Prints a line for each column, the present targets marked with a star."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", choices=sorted(DATASETS), metavar="NAME")
    parser.add_argument("--columns", nargs="+", help="only these (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.datasets:
        start = time.perf_counter()
        skills = skill_to_lose(name, options.columns, options.seed)
        print(f"{name}: {sum(skill >= MIN_SKILL for skill in skills.values())} columns to choose from")
        for column, skill in skills.items():
            print(f"  {'*' if column in DATASETS[name].targets else ' '} {column:36} {skill:6.3f}")
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

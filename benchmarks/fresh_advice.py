"""What is recommended for files in which nothing is wrong?

    OMP_NUM_THREADS=1 python -m benchmarks.fresh_advice [--draws 3] [--datasets NAME ...]

Each table is halved at random, at most 1,500 rows a half: one half is the reference, the other the candidate. Whatever
is recommended for such a file is not needed. Statistics only. Writes results/fresh_advice.json. Ten minutes on a core.
"""

import argparse
import shlex
import sys
import warnings
from collections import Counter

import numpy as np

import vr
from benchmarks import datasets
from benchmarks.measure import save

MAX_ROWS = 1_500


def main() -> None:
    """Runs all tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--datasets", nargs="*", default=sorted(datasets.DATASETS))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    files = []
    for name in args.datasets:
        for draw in range(args.draws):
            candidate, reference = datasets.halves(name, MAX_ROWS, np.random.default_rng([draw, 5]))
            report = vr.validate(candidate, reference=reference, overrides=["cascade=none"])
            kinds = sorted({item.category for item in report.recommendations})
            files.append({"dataset": name, "draw": draw, "verdict": report.verdict.value, "recommended": kinds})
        print(files[-1], flush=True)
    summary = {
        "files": len(files),
        "verdicts": dict(Counter(each["verdict"] for each in files)),
        "recommended": dict(Counter(kind for each in files for kind in each["recommended"])),
    }
    print(summary)
    command = shlex.join(["python", "-m", "benchmarks.fresh_advice", *sys.argv[1:]])
    save("fresh_advice", {"summary": summary, "by_file": files}, command)


if __name__ == "__main__":
    main()

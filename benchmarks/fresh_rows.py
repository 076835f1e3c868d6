"""What do row scores say of real rows, where there is nothing to find: which regions, how many suspicious rows?

    OMP_NUM_THREADS=1 python -m benchmarks.fresh_rows [--draws 3] [--datasets NAME ...]

Each table is halved at random, at most 1,500 rows a half: one half is the reference, the other the candidate, in random
order. Whatever is reported of such a file is wrong. Ten of the forty tables taught the head that weighs the evidence,
with defects planted in other rows of them. Writes results/fresh_rows.json. Four minutes on one core.
"""

import argparse
import shlex
import sys
import warnings

import numpy as np
import pyarrow as pa

from benchmarks import datasets
from benchmarks.measure import save
from benchmarks.mending.predicted import read
from vr.data.source import open_source
from vr.pipeline.localization import localize_rows, row_evidence
from vr.pipeline.run_folder import RunFolder

MAX_ROWS = 1_500


def found(candidate: pa.Table, reference: pa.Table) -> dict[str, int]:
    """Returns the rows, regions and suspicious rows of a candidate."""
    taken = read(candidate, reference)
    localized, _ = localize_rows(
        open_source(candidate),
        taken.intake,
        row_evidence(taken.intake, taken.inputs, taken.config, 1),
        taken.config,
        RunFolder(None, {}),
        dict(taken.features),
        lambda *step: None,
    )
    return {"rows": len(candidate), "regions": len(localized.regions), "suspicious": localized.num_suspicious}


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
            both = datasets.halves(name, MAX_ROWS, np.random.default_rng([draw, 5]))
            files.append({"dataset": name, "draw": draw, **found(*both)})
        print(files[-1], flush=True)
    shares = np.array([each["suspicious"] / each["rows"] for each in files])
    summary = {
        "files": len(files),
        "with_a_region": sum(each["regions"] > 0 for each in files),
        "with_a_suspicious_row": int(np.count_nonzero(shares)),
        "most_suspicious_share": round(float(shares.max()), 4),
        "mean_suspicious_share": round(float(shares.mean()), 6),
    }
    print(summary)
    save(
        "fresh_rows",
        {"summary": summary, "by_file": files},
        shlex.join(["python", "-m", "benchmarks.fresh_rows", *sys.argv[1:]]),
    )


if __name__ == "__main__":
    main()

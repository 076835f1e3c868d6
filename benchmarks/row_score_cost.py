"""What do the row scores cost, fitting and reading apart, and how many rows a second are that?

    OMP_NUM_THREADS=1 python -m benchmarks.row_score_cost                     # 10,000 x 12 and 100,000 x 20
    OMP_NUM_THREADS=1 python -m benchmarks.row_score_cost --sizes 10000x12

Processor seconds of one thread, of real rows against real rows of the same kind, so that a crowded machine says nearly
what one at rest does. Fitting grows with the samples and the columns, reading with the rows. Writes
benchmarks/results/row_score_cost.json.
"""

import argparse
import time

import numpy as np
import pyarrow as pa

from benchmarks.measure import save
from vr.cascade.config import preset
from vr.data.source import open_source
from vr.localization.localize import localize
from vr.localization.row_evidence import RowEvidence
from vr.localization.scorer import RowScorer
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

__all__ = ["cost", "table"]


def table(num_rows: int, num_columns: int, seed: int) -> pa.Table:
    """Returns dependent columns, one half numbers and the other categories."""
    z = np.random.default_rng(seed).standard_normal((num_rows, num_columns))
    z[:, 1:] += 0.7 * z[:, :-1]
    half = num_columns // 2
    letters = np.array(list("abcdefgh"))
    numbers = {f"n{j}": z[:, j] for j in range(half)}
    return pa.table(
        numbers | {f"c{j}": letters[np.clip(1.5 * z[:, j] + 4.0, 0, 7).astype(int)] for j in range(half, num_columns)}
    )


def cost(num_rows: int, num_columns: int) -> dict[str, float]:
    """Returns processor seconds of fitting and of reading all rows, and rows a second of either and of both."""
    config = Config(cascade=preset("none"))
    candidate, reference = (open_source(table(num_rows, num_columns, seed)) for seed in (1, 0))
    intake = take_in(candidate, reference, config, 1, lambda *_: None)
    assert intake.reference is not None
    begun = time.process_time()
    evidence = RowEvidence.fit(
        intake.candidate,
        intake.reference,
        columns=intake.columns,
        embedding=intake.embedding,
        num_rows=num_rows,
        reference_rows=config.localization.reference_rows,
        max_distance_rows=config.localization.max_distance_rows,
        seed=config.seed,
    )
    scorer = RowScorer.of(evidence, np.zeros(len(intake.candidate), bool), duplicate_weight=0.0)
    fitted = time.process_time()
    localize(
        candidate.batches(intake.codec.sources, config.data.batch_rows),
        scorer,
        intake.codec,
        intake.reference,
        num_rows=num_rows,
        max_rows=config.localization.max_rows,
    )
    read = time.process_time()
    return {
        "rows": num_rows,
        "columns": num_columns,
        "fit_s": round(fitted - begun, 2),
        "read_s": round(read - fitted, 2),
        "rows_per_s": round(num_rows / (read - begun)),
        "rows_per_s_read": round(num_rows / (read - fitted)),
    }


def main() -> None:
    """Measures every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["10000x12", "100000x20"], metavar="ROWSxCOLUMNS")
    options = parser.parse_args()
    cost(500, 4)  # what is loaded once
    sizes = [tuple(int(part) for part in size.split("x")) for size in options.sizes]
    found = [cost(*size) for size in sizes]
    for one in found:
        print(one, flush=True)
    save("row_score_cost", {"sizes": found}, f"python -m benchmarks.row_score_cost --sizes {' '.join(options.sizes)}")


if __name__ == "__main__":
    main()

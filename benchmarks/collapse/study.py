"""Makes the study's data: cases, measured labels, features, peers.

    python -m benchmarks.collapse.study [labels features cascade peers] [--datasets NAME ...] [--under-way]

Hours on two cores, resumable: an interrupted run goes on where it was. The results, without the cases themselves, are
written to benchmarks/results/collapse/ as parquet with the versions that made them. Calibration, comparisons and
docs/accuracy.md have to follow at once, since tests hold them to these results; of a round that is not complete yet the
rows are kept in under_way/ there (`--under-way`), from which the next run with `--committed` goes on.
"""

import argparse

import pyarrow.parquet as pq

from benchmarks.collapse.cases import splits
from benchmarks.collapse.evidence import RESULTS
from benchmarks.collapse.stages import STAGES, first_round, made_by, run_stage, stage_table, take_committed


def main() -> None:
    """Runs the stages and writes what is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=f"of {', '.join(STAGES)}; all by default")
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first-round", action="store_true", help="one split of every dataset")
    parser.add_argument("--collect", action="store_true", help="only gather what is done")
    parser.add_argument("--committed", action="store_true", help="make only what the committed results lack")
    parser.add_argument("--under-way", action="store_true", help="keep the rows where no figure rests on them yet")
    args = parser.parse_args()
    results = RESULTS / "under_way" if args.under_way else RESULTS
    chosen = splits(args.datasets)
    if args.first_round:
        chosen = first_round(chosen)
    results.mkdir(parents=True, exist_ok=True)
    for stage in args.stages:
        if args.committed:
            for folder in (RESULTS, RESULTS / "under_way"):
                if (folder / f"{stage}.parquet").exists():
                    print(f"{stage}: {take_committed(stage, splits(), folder)} cases of {folder} taken over")
        if not args.collect:
            run_stage(stage, chosen, args.workers)
        table = stage_table(stage, splits())
        pq.write_table(table.replace_schema_metadata(made_by(stage)), results / f"{stage}.parquet", compression="zstd")
        print(f"{stage}: {table.num_rows} cases in {results / stage}.parquet")


if __name__ == "__main__":
    main()

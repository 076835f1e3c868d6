"""Fits the models of expected harm and writes the files that the package ships.

    python -m experiments.harm [--output vr/detector]

A minute. `harm.json` is for runs where all columns count, `harm_targets.json` for those that name the columns to be
predicted. Reads benchmarks/results/collapse/*.parquet, as `experiments.calibrate` does; their error cards and the
widths of their intervals come from models that had seen neither the dataset nor the source of the case.
"""

import argparse
import json
from pathlib import Path

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.harm import SKILL, SKILL_OF_TARGETS, judged_harm

FOLDER = Path(__file__).parents[1] / "vr" / "detector"


def main() -> None:
    """Fits, judges, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FOLDER)
    args = parser.parse_args()
    cases, _ = load_cases(["features", "targets", "reference_free"])
    for name, skill in (("harm.json", SKILL), ("harm_targets.json", SKILL_OF_TARGETS)):
        model = judged_harm(cases, skill)
        path = args.output / name
        path.write_text(json.dumps(model.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        print(f"{path}: {model.card}")


if __name__ == "__main__":
    main()

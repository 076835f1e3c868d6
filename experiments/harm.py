"""Fits the model of expected harm and writes the file that the package ships.

    python -m experiments.harm [--output vr/detector/harm.json]

Half a minute. Reads benchmarks/results/collapse/*.parquet, as `experiments.calibrate` does; its error card and the
widths of its intervals come from models that had seen neither the dataset nor the source of the case.
"""

import argparse
import json
from pathlib import Path

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.harm import judged_harm

HARM = Path(__file__).parents[1] / "vr" / "detector" / "harm.json"


def main() -> None:
    """Fits, judges, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HARM)
    args = parser.parse_args()
    model = judged_harm(load_cases(["features", "reference_free"])[0])
    args.output.write_text(json.dumps(model.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{args.output}: {model.card}")


if __name__ == "__main__":
    main()

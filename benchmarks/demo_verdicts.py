"""What does `vr` say of fresh real samples and eighth self-trained generations, no setting changed between them?

    python -m benchmarks.demo_verdicts [--preset laptop] [--seeds 10]

The four datasets of `benchmarks.demo_skill_loss` at seed 0, both candidates each, then fresh samples of the demo's
dataset at further seeds. The four are among the datasets that the verdict was fitted to: this is a check that the
demo holds, no error rate. Writes results/demo_verdicts.json.
"""

import argparse
import time
from typing import Any

import pyarrow as pa

import vr
from benchmarks.datasets import load
from benchmarks.demo_cases import demo_case, split
from benchmarks.measure import save

DATASETS = ("randhie", "fair", "401ksubs", "gpa2")
DEMO = "randhie"


def verdict(name: str, candidate: pa.Table, reference: pa.Table, preset: str) -> dict[str, Any]:
    """Returns one case's row of the result."""
    begun = time.perf_counter()
    report = vr.validate(candidate, reference=reference, overrides=[f"cascade={preset}"])
    p = report.collapse_probability
    row = {
        "case": name,
        "verdict": report.verdict.value,
        "probability": p.value,
        "lower": p.lower,
        "upper": p.upper,
        "scores": {key: dimension.score for key, dimension in report.dimensions.items()},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(
        f"{name:28s} {row['verdict']:8s} {p.value:.3f} ({p.lower:.3f} to {p.upper:.3f})  {row['seconds']} s", flush=True
    )
    return row


def main() -> None:
    """Runs all cases and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    rows = []
    for name in DATASETS:
        case = demo_case(name)
        for kind in ("fresh", "generation_8"):
            rows.append(verdict(f"{name} {kind}", case[kind], case["reference"], args.preset))
    for seed in range(1, args.seeds):
        case = split(load(DEMO), seed)
        rows.append(verdict(f"{DEMO} fresh, seed {seed}", case["fresh"], case["reference"], args.preset))
    save(
        "demo_verdicts",
        {"preset": args.preset, "cases": rows},
        f"python -m benchmarks.demo_verdicts --preset {args.preset}",
    )


if __name__ == "__main__":
    main()

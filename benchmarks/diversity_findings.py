"""What does the diversity section find in real rows, where there is nothing to find, and in damaged ones?

    python -m benchmarks.diversity_findings [--datasets NAME ...]

Each table is halved at random, at most 4,000 rows a half: one half is the reference, the other the candidate, as it is
and after damages of known strength. Counts findings by kind. Thresholds were set by their error rates under chance, not
on these tables. Writes results/diversity_findings.json.
"""

import argparse
import time
from collections import Counter

import numpy as np
import pyarrow as pa

from benchmarks import datasets
from benchmarks.measure import save
from synthetic.damage import DAMAGES
from vr.data.source import open_source
from vr.detector.inputs import Inputs
from vr.diversity.findings import findings
from vr.diversity.measure import measure
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

MAX_ROWS = 4_000
STRENGTHS = {
    "none": 0.0,
    "drop_mode": 0.5,
    "cut_tails": 0.5,
    "lose_rare_categories": 0.5,
    "low_diversity": 0.5,
    "near_duplicates": 0.3,
    "impossible_combinations": 0.1,
}


def found(candidate: pa.Table, reference: pa.Table) -> Counter[str]:
    """Returns the number of findings of each kind."""
    intake = take_in(open_source(candidate), open_source(reference), Config(), 1, lambda *_: None)
    inputs = Inputs.of(intake, None, None, 0, 1)
    duplicates = intake.candidate_profile.duplicate_fraction
    told = findings(measure(inputs, intake.texts), len(candidate), duplicates, with_reference=bool(inputs.splits))
    return Counter(each.kind for each in told)


def main() -> None:
    """Runs all tables and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="*", default=sorted(datasets.DATASETS))
    names = parser.parse_args().datasets
    cases: dict[str, dict[str, dict[str, int]]] = {case: {} for case in STRENGTHS}
    began = time.process_time()
    for name in names:
        candidate, reference = datasets.halves(name, MAX_ROWS, np.random.default_rng(0))
        print(name, flush=True)  # noqa: T201
        for case, strength in STRENGTHS.items():
            changed = candidate if case == "none" else DAMAGES[case](candidate, strength, 0).table
            cases[case][name] = dict(found(changed, reference))
    summary = {}
    for case, by_name in cases.items():
        kinds = {kind for each in by_name.values() for kind in each}
        summary[case] = {
            "datasets": len(by_name),
            "with_a_finding": sum(bool(each) for each in by_name.values()),
            "by_kind": {kind: sum(kind in each for each in by_name.values()) for kind in sorted(kinds)},
        }
        print(case, summary[case])  # noqa: T201
    result = {"summary": summary, "strengths": STRENGTHS, "max_rows": MAX_ROWS, "findings": cases}
    result["cpu_s"] = round(time.process_time() - began, 1)
    save("diversity_findings", result, "python -m benchmarks.diversity_findings")


if __name__ == "__main__":
    main()

"""Which form of running a tier's members suits this machine?

    python -m benchmarks.cascade_forms [--repeats 3]

One tier's members looped from two threads against stacked in one mapped program, the same work, compilation apart.
Writes results/cascade_forms.json.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.demo_cases import demo_case
from benchmarks.measure import save
from vr.cascade.config import CascadeConfig, Execution
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in


def taken(candidate: Any, reference: Any) -> Intake:
    """Returns both tables as the cascade reads them."""
    return take_in(open_source(candidate), open_source(reference), Config(), 2, lambda *step: None)


def forms(intake: Intake, repeats: int) -> dict[str, Any]:
    """Returns seconds of training one tier's members, looped and stacked, in turn."""
    from vr.cascade.members import shares
    from vr.cascade.tier import Tier, arms_of
    from vr.cascade.train import _models

    assert intake.reference is not None
    config = CascadeConfig(compilation_cache=False, tiers=[CascadeConfig().tiers[0]])
    tier, sizes = config.tiers[0], intake.columns.num_codes
    share = shares(len(intake.reference), len(intake.candidate), config)
    model = _models(config, sizes)[tier.name]
    seconds: dict[str, list[float]] = {}
    with ThreadPoolExecutor(2) as pool:
        tiers = {}
        for form in (Execution.looped, Execution.stacked):
            config.execution = form
            tiers[form] = Tier(tier, model, sizes, share, intake.reference.codes, config, 0, pool)
        jobs = [(member, arm) for member in range(tier.seeds) for arm in arms_of(tier)]
        for repeat in range(repeats + 1):
            for form, each in tiers.items():
                drawn = [each._drawn(intake.candidate.codes, member) for member in range(tier.seeds)]
                prepared = [each._job(member, arm, drawn[member]) for member, arm in jobs]
                begun = time.perf_counter()
                each.trainer.run(prepared, config.threads)
                # The first round waits for the compiler and is not counted.
                if repeat:
                    seconds.setdefault(form.name, []).append(round(time.perf_counter() - begun, 3))
    ratios = [s / r for s, r in zip(seconds["stacked"], seconds["looped"], strict=True)]
    print("stacked over looped", ratios)
    return {
        "members": len(jobs),
        "parameters": model.parameters,
        "seconds": seconds,
        "stacked_over_looped": {"median": round(statistics.median(ratios), 3), "min": min(ratios), "max": max(ratios)},
    }


def main() -> None:
    """Runs both forms and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    case = demo_case("randhie", generations=1)
    result = forms(taken(case["fresh"], case["reference"]), args.repeats)
    save("cascade_forms", result, "python -m benchmarks.cascade_forms")


if __name__ == "__main__":
    main()

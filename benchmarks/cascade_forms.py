"""Which network, and which form of running it, suits this machine?

    python -m benchmarks.cascade_forms [--repeats 3]

Two questions in one run on one machine. Form: one tier's members looped from two threads against stacked in one mapped
program, the same work, compilation apart. Network: the resonance network against its equal-parameter control on two
real datasets, at equal steps and with three times as many, by the loss ratio of a fresh sample, of a first and of an
eighth self-trained generation, and by processor seconds. Writes results/cascade_forms.json and
results/cascade_networks.json.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.demo_cases import demo_case
from benchmarks.measure import save
from vr.cascade.config import CascadeConfig, Execution, Network, TierConfig
from vr.cascade.train import run_cascade
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in


def taken(candidate: Any, reference: Any) -> Intake:
    """Returns both tables as the cascade reads them."""
    return take_in(open_source(candidate), open_source(reference), Config(), 2, lambda *step: None)


def train(intake: Intake, config: CascadeConfig) -> tuple[Any, float]:
    """Returns the trained cascade and processor seconds, compilation included."""
    assert intake.reference is not None
    begun = time.process_time()
    result = run_cascade(intake.reference.codes, intake.candidate.codes, intake.columns.num_codes.tolist(), config, 0)
    return result, time.process_time() - begun


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


def networks() -> list[dict[str, Any]]:
    """Returns one row for each dataset, network and number of steps."""
    rows = []
    for name in ("401ksubs", "gpa2"):
        case = demo_case(name)
        intakes = {kind: taken(case[kind], case["reference"]) for kind in ("fresh", "generation_1", "generation_8")}
        for network, steps in ((Network.resonance, 200), (Network.mlp, 200), (Network.mlp, 600)):
            tier = TierConfig(name="one", seeds=3, width=32, steps=steps)
            config = CascadeConfig(network=network, tiers=[tier], compilation_cache=True)
            row: dict[str, Any] = {"dataset": name, "network": network.name, "steps": steps}
            train(intakes["fresh"], config)  # fills the compilation cache; not counted
            for kind, intake in intakes.items():
                result, seconds = train(intake, config)
                reading = result.readings["log_ratio_all"]
                row |= {
                    "parameters": result.tiers[0].parameters,
                    f"log_ratio_{kind}": round(reading.value, 5),
                    f"spread_{kind}": round(reading.spread, 5),
                    f"cpu_s_{kind}": round(seconds, 2),
                    f"reference_loss_{kind}": round(
                        float(np.mean([m.loss for m in result.models if m.arm == "reference"])), 5
                    ),
                }
            print(row, flush=True)
            rows.append(row)
    return rows


def main() -> None:
    """Runs both and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    case = demo_case("randhie", generations=1)
    command = "python -m benchmarks.cascade_forms"
    save("cascade_forms", forms(taken(case["fresh"], case["reference"]), args.repeats), command)
    save("cascade_networks", {"cases": networks()}, command)


if __name__ == "__main__":
    main()

"""How often does the extrapolation's 95 % interval hold the truth, on simulated power laws?

    python -m benchmarks.scaling_coverage [--draws 100]

Two minutes. Four laws, one of them rising, tiers of 10, 5 and 3 seeds at sizes a factor of ten apart, loss at ten times
the largest size. Reports the coverage of the interval as shipped and unwidened, and the factor by which the unwidened
one falls short at each quantile. Simulated laws are true power laws; real training is not, and `scaling_holdout.py`
measures it. Writes results/scaling_coverage.json.
"""

import argparse

import numpy as np

from benchmarks.measure import save
from vr.cascade.scaling import Widening, extrapolate, load_widening

SIZES = np.array([4e3, 4e4, 4e5])
LAWS = ((30.0, 0.4, 1.2), (5.0, 0.15, 0.5), (200.0, 0.6, 1.0), (-6.0, 0.25, 2.0))
NOISE = 0.01


def main() -> None:
    """Simulates and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    args = parser.parse_args()
    shipped = load_widening().loss
    rows = []
    for a, b, c in LAWS:
        truth = a * (10 * SIZES[-1]) ** -b + c
        short, errors = [], []
        for seed in range(args.draws):
            rng = np.random.default_rng(seed)
            losses = [
                a * size**-b + c + rng.normal(0, NOISE, count) for size, count in zip(SIZES, (10, 5, 3), strict=True)
            ]
            found = extrapolate(
                SIZES,
                losses,
                losses,
                target=None,
                level=0.95,
                rng=rng,
                num_resamples=40,
                widening=Widening(1.0, 1.0, {}),
            )
            assert found is not None
            interval = found["predicted_loss"]
            end = interval["upper"] if truth > interval["value"] else interval["lower"]
            short.append(abs(truth - interval["value"]) / max(abs(end - interval["value"]), 1e-12))
            errors.append(abs(interval["value"] / truth - 1.0))
        row = {
            "law": {"a": a, "b": b, "c": c},
            "median_relative_error": round(float(np.median(errors)), 4),
            "coverage": float(np.mean(np.array(short) <= shipped)),
            "coverage_unwidened": float(np.mean(np.array(short) <= 1.0)),
            "needed_widening": {str(q): round(float(np.quantile(short, q)), 2) for q in (0.5, 0.8, 0.9, 0.95)},
        }
        print(row, flush=True)
        rows.append(row)
    save(
        "scaling_coverage",
        {"noise": NOISE, "draws": args.draws, "shipped_widening": shipped, "laws": rows},
        "python -m benchmarks.scaling_coverage",
    )


if __name__ == "__main__":
    main()

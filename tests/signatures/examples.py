"""Signatures for tests: random fingerprints with random outcomes, the same for the same seed."""

import numpy as np

from vr.signatures.components import NAMES
from vr.signatures.signature import LABELS, Origin, Outcome, Signature


def signatures(number: int, seed: int = 0) -> list[Signature]:
    rng = np.random.default_rng(seed)
    found = []
    for i in range(number):
        values = [None if rng.random() < 0.05 else round(float(x), 4) for x in 5.0 * rng.standard_normal(len(NAMES))]
        outcome = Outcome(LABELS[int(rng.integers(3))], round(float(rng.uniform(-0.1, 1.2)), 4))
        origin = Origin(f"data {seed}-{i}", "lineage", "gaussian_copula", "replace", int(rng.integers(1, 17)))
        found.append(Signature(tuple(values), origin, outcome))
    return found

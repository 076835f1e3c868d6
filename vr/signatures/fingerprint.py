"""The fingerprint: how far a candidate lies from its reference's own nulls, in as many numbers whatever the schema.

Component i is the shift of one cheap metric towards harm, in units of hypot(deviation of its null, its floor), as
`calibration.variables` gives it: dimensionless, so that datasets of any columns compare. Distances are taken after

    g(z) = sign(z) log(1 + |z|)

since the shifts are heavy-tailed and one metric out of bounds would otherwise be all that a distance sees.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vr.detector.calibration import variables
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.registry import DIMENSIONS

__all__ = ["NAMES", "SPECS", "VERSION", "distances", "fingerprint", "measure", "similarity", "vectors"]

VERSION = 1  # of what a fingerprint holds; another one is not comparable
# The dimensions that train nothing, and of them what has a null on every table: no rhythm along a date, no whole files.
_CHEAP = ("distribution_fidelity", "correlation_preservation", "entropy_stability", "spectral_coherence")
_WITHOUT_NULL = {
    "entropy_stability.duplicates_in_file",
    "spectral_coherence.welch_distance",
    "spectral_coherence.autocorrelation_change",
}
SPECS: dict[str, MetricSpec] = {
    f"{dimension}.{metric}": spec
    for dimension in _CHEAP
    for metric, spec in DIMENSIONS[dimension].metrics.items()
    if not spec.proxies and f"{dimension}.{metric}" not in _WITHOUT_NULL
}
NAMES = tuple(SPECS)
_MOST = 1e6  # deviations; what lies further is no nearer to anything


def measure(inputs: Inputs) -> dict[str, Feature]:
    """Returns the metrics of the fingerprint, measured; inputs that are reused with a cascade keep what was computed.

    Raises:
      ValueError: The inputs have no splits, so there is nothing to compare with.
    """
    if not inputs.splits:
        raise ValueError(inputs.splits_reason)
    found: dict[str, Feature] = {}
    for dimension in _CHEAP:
        features = DIMENSIONS[dimension].measure(inputs).features
        found |= {f"{dimension}.{metric}": feature for metric, feature in features.items()}
    return {name: found.get(name, Feature.missing("not measured")) for name in NAMES}


def fingerprint(features: Mapping[str, Feature]) -> tuple[float | None, ...]:
    """Returns the components in the order of NAMES, to four decimals; None where a metric is not defined."""
    values = variables({name: features.get(name, Feature.missing("not measured")) for name in NAMES}, SPECS)
    clipped = [float(np.clip(values[name], -_MOST, _MOST)) for name in NAMES]
    return tuple(None if np.isnan(value) else round(value, 4) for value in clipped)


def vectors(fingerprints: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Returns g of every component, float32 `[n, len(NAMES)]`; one that is not defined is no shift from its null."""
    z = np.array([[0.0 if value is None else value for value in each] for each in fingerprints], float)
    z = z.reshape(len(fingerprints), len(NAMES))
    return (np.sign(z) * np.log1p(np.abs(z))).astype(np.float32)


def distances(query: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the root mean square difference of a vector `[p]` to each of `others [n, p]`, float64 `[n]`."""
    difference = others.astype(np.float64) - query.astype(np.float64)
    return np.sqrt(np.mean(difference**2, axis=1))


def similarity(distance: np.ndarray | float) -> np.ndarray:
    """Returns exp(-distance): 1 for equal fingerprints, 0.37 where g differs by one in the root mean square.

    A difference of one in g is a shift 2.7 times as large.
    """
    return np.exp(-np.asarray(distance, float))

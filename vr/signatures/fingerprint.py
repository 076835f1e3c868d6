"""The fingerprint: how far a candidate lies from its reference's own nulls, in as many numbers whatever the schema.

Component i is the shift of one cheap metric towards harm, in units of hypot(deviation of its null, its floor), as
`calibration.variables` gives it: dimensionless, so that datasets of any columns compare.
"""

from collections.abc import Mapping

import numpy as np

from vr.detector.calibration import variables
from vr.detector.dimensions import (
    correlation_preservation,
    distribution_fidelity,
    entropy_stability,
    spectral_coherence,
)
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.registry import DIMENSIONS
from vr.signatures.components import NAMES

__all__ = ["SPECS", "fingerprint", "measure"]

SPECS: dict[str, MetricSpec] = {
    name: DIMENSIONS[dimension].metrics[metric] for name in NAMES for dimension, _, metric in [name.partition(".")]
}
_OF_PAIRS = (correlation_preservation, spectral_coherence)
_MOST = 1e6  # deviations; what lies further is no nearer to anything


def measure(inputs: Inputs) -> dict[str, Feature]:
    """Returns the metrics of the fingerprint, measured; inputs that are reused with a cascade keep what was computed.

    Raises:
      ValueError: The inputs have no splits, so there is nothing to compare with.
    """
    if not inputs.splits:
        raise ValueError(inputs.splits_reason)
    found: dict[str, Feature] = {}
    for module in (distribution_fidelity, correlation_preservation, entropy_stability, spectral_coherence):
        if module in _OF_PAIRS and len(inputs.pair_columns) < 2:
            continue
        found |= {f"{module.DIMENSION.name}.{metric}": each for metric, each in module.compared(inputs).items()}
    return {name: found.get(name, Feature.missing("not measured")) for name in NAMES}


def fingerprint(features: Mapping[str, Feature]) -> tuple[float | None, ...]:
    """Returns the components in the order of NAMES, to four decimals; None where a metric is not defined."""
    values = variables({name: features.get(name, Feature.missing("not measured")) for name in NAMES}, SPECS)
    clipped = [float(np.clip(values[name], -_MOST, _MOST)) for name in NAMES]
    return tuple(None if np.isnan(value) else round(value, 4) for value in clipped)

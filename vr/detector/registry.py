"""The eight dimensions, in the order a report shows them."""

from vr.detector.dimensions import (
    correlation_preservation,
    distribution_fidelity,
    entropy_stability,
    generalization_gap,
    gradient_health,
    loss_landscape,
    spectral_coherence,
    statistical_consistency,
)
from vr.detector.dimensions.base import Dimension

__all__ = ["DIMENSIONS"]

DIMENSIONS: dict[str, Dimension] = {
    module.DIMENSION.name: module.DIMENSION
    for module in (
        distribution_fidelity,
        correlation_preservation,
        entropy_stability,
        gradient_health,
        loss_landscape,
        spectral_coherence,
        generalization_gap,
        statistical_consistency,
    )
}

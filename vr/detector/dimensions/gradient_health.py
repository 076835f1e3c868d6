"""Gradient health: would the candidate pull a model that knows the real data where real data pulls it?"""

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_cascade
from vr.detector.inputs import Inputs
from vr.detector.metric import MetricSpec
from vr.detector.proxies import proxy_feature

__all__ = ["DIMENSION"]

_METRICS = {
    "alignment": MetricSpec(
        "Gradient alignment",
        "Cosine between the candidate's and held-out real rows' gradients at the reference-trained proxy, freed of "
        "noise by half-batches, pooled over seeds; null: other real rows.",
        floor=0.1,
        higher_is_worse=False,
        proxies=True,
    ),
    "noise_change": MetricSpec(
        "Gradient noise change",
        "Logarithm of the candidate's per-row gradient variance over real rows': collapse lowers it, label noise "
        "raises it.",
        floor=0.1,
        two_sided=True,
        judged=True,
        proxies=True,
    ),
    "norm_range_change": MetricSpec(
        "Gradient norm range change",
        "Change of log(largest / smallest gradient norm) over the second half of training against the reference arm.",
        floor=0.1,
        two_sided=True,
        judged=True,
        proxies=True,
    ),
}
_READINGS = {
    "alignment": "gradient_cosine",
    "noise_change": "gradient_noise_change",
    "norm_range_change": "gradient_range_change",
}


def measure(inputs: Inputs) -> Measurement:
    """Returns alignment, noise and range of the proxies' gradients, and the norms of both arms."""
    if reason := needs_cascade(inputs):
        return Measurement.missing(reason)
    features = {name: proxy_feature(inputs, reading) for name, reading in _READINGS.items()}
    return Measurement(features, (_norms(inputs),))


def _norms(inputs: Inputs) -> Chart:
    assert inputs.cascade is not None
    arms: dict[str, dict[float, list[float]]] = {}
    for model in inputs.cascade.models:
        norm = model.gradient_norm["median"]
        if norm is not None and not model.arm.endswith("_half"):
            arms.setdefault(model.arm, {}).setdefault(float(model.parameters), []).append(norm)
    return Chart(
        id="gradient-norms",
        kind="points",
        title="Median gradient norm by model size",
        data={
            "x_label": "parameters",
            "y_label": "gradient norm",
            "x_scale": "log",
            "y_scale": "log",
            "series": [
                {
                    "name": arm,
                    "arm": arm,
                    "x": [size for size, norms in sizes.items() for _ in norms],
                    "y": [round(norm, 6) for norms in sizes.values() for norm in norms],
                }
                for arm, sizes in arms.items()
            ],
        },
        caption="One point a trained proxy, over the second half of its training.",
    )


DIMENSION = Dimension(
    "gradient_health",
    "Would the candidate pull a model that knows the real data where real data pulls it?",
    _METRICS,
    measure,
)

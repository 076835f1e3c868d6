"""Loss landscape: does training on the candidate end in a sharper place, and does more of it still teach?"""

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_cascade
from vr.detector.inputs import Inputs
from vr.detector.metric import MetricSpec
from vr.detector.proxies import proxy_feature

__all__ = ["DIMENSION"]

_METRICS = {
    "curvature_change": MetricSpec(
        "Curvature change",
        "Logarithm of the largest Hessian eigenvalue on real rows at the candidate-trained proxy over that at the "
        "reference-trained one (Lanczos). Sharpness is a weak sign of anything (Andriushchenko et al. 2023).",
        floor=0.15,
        two_sided=True,
        judged=True,
        proxies=True,
    ),
    "plateau": MetricSpec(
        "Plateau in rows",
        "How much the loss ratio grows when both arms train on all their rows instead of half: positive where real "
        "rows go on teaching and the candidate's do not.",
        floor=0.01,
        unit="log ratio",
        proxies=True,
    ),
}


def measure(inputs: Inputs) -> Measurement:
    """Returns the curvature at both arms' ends and the plateau in rows, and every proxy's eigenvalue."""
    if reason := needs_cascade(inputs):
        return Measurement.missing(reason)
    features = {
        "curvature_change": proxy_feature(inputs, "curvature_change"),
        "plateau": proxy_feature(inputs, "plateau"),
    }
    return Measurement(features, (_eigenvalues(inputs),))


def _eigenvalues(inputs: Inputs) -> Chart:
    assert inputs.cascade is not None
    arms: dict[str, list[tuple[int, float]]] = {}
    for model in inputs.cascade.models:
        if model.top_eigenvalue is not None and not model.arm.endswith("_half"):
            arms.setdefault(model.arm, []).append((model.seed + 1, round(model.top_eigenvalue, 5)))
    return Chart(
        id="eigenvalues",
        kind="points",
        title="Largest Hessian eigenvalue on real rows, by seed",
        data={
            "x_label": "seed",
            "y_label": "eigenvalue",
            "x_scale": "linear",
            "y_scale": "log",
            "series": [
                {"name": arm, "arm": arm, "x": [x for x, _ in points], "y": [max(y, 1e-6) for _, y in points]}
                for arm, points in arms.items()
            ],
        },
        caption="In the smallest tier; the third arm shows how far two parts of the reference differ.",
    )


DIMENSION = Dimension(
    "loss_landscape",
    "Does training on the candidate end in a sharper place, and does more of it still teach?",
    _METRICS,
    measure,
)

"""What the trained proxies say, as features: a paired reading beside the same reading of two parts of the reference."""

from vr.core.chart import Chart
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature

__all__ = ["loss_curves", "proxy_feature"]


def proxy_feature(inputs: Inputs, name: str) -> Feature:
    """Returns the cascade's reading `name`, pooled over tiers, as a feature; a missing one says why."""
    if inputs.cascade is None:
        return Feature.missing(inputs.cascade_reason or "no cascade was trained")
    reading = inputs.cascade.readings.get(name)
    if reading is None:
        return Feature.missing("these proxies do not give it")
    return Feature(reading.value, reading.spread, reading.null_mean, reading.null_std, reading.reason)


def loss_curves(inputs: Inputs) -> tuple[Chart, ...]:
    """Returns one chart a tier: held-out loss over training, the mean of each arm's members."""
    assert inputs.cascade is not None
    charts = []
    for tier in inputs.cascade.tiers:
        arms: dict[str, list[dict]] = {}
        for model in inputs.cascade.models:
            if model.tier == tier.name and model.status == "trained" and not model.arm.endswith("_half"):
                arms.setdefault(model.arm, []).append(model.loss_curve)
        series = []
        for arm, curves in arms.items():
            mean = [sum(values) / len(values) for values in zip(*(curve["loss"] for curve in curves), strict=True)]
            series.append({"name": arm, "arm": arm, "x": curves[0]["rows"], "y": [round(y, 5) for y in mean]})
        charts.append(
            Chart(
                id=f"loss-{tier.name}",
                kind="lines",
                title=f"Held-out loss, {tier.name.replace('_', ' ')} ({tier.parameters:,} parameters)",
                data={
                    "x_label": "rows seen",
                    "y_label": "loss on real rows, nats a cell",
                    "x_scale": "linear",
                    "y_scale": "linear",
                    "series": series,
                },
                caption="Mean over seeds; both arms of a seed share initialisation, batches and masks.",
            )
        )
    return tuple(charts)

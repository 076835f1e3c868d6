"""Charts that the page makes out of the cascade's records: loss curves of both arms, and the scaling fit.

Read from each entry of `cascade.models`: `tier`, `arm` ("candidate" or "reference"; a third arm is left out),
`parameters`, `loss` (on held-out real rows, at the end of training) and `loss_curve` ({"rows": [...], "loss": [...]}).
Read from `scaling`: `a`, `b`, `c`, `predicted_loss` and `target_parameters`. What is absent is not drawn.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from vr.pipeline.report import CascadeSection, Plot

__all__ = ["loss_curves", "scaling_fit"]

ARMS = ("candidate", "reference")


def loss_curves(cascade: CascadeSection) -> list[Plot]:
    """Returns one plot for each tier: mean loss over seeds, with the range over seeds, for both arms."""
    by_tier: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in cascade.models:
        if model.get("loss_curve") and model.get("arm") in ARMS:
            by_tier[str(model.get("tier"))].append(model)
    return [plot for tier, models in by_tier.items() if (plot := _tier_plot(tier, models))]


def _tier_plot(tier: str, models: Sequence[dict[str, Any]]) -> Plot | None:
    series = []
    for arm in ARMS:
        curves = [model["loss_curve"] for model in models if model["arm"] == arm]
        if not curves:
            continue
        # One grid for a tier: every model of it reports at the same numbers of rows; a diverged one may stop early.
        rows = max((curve["rows"] for curve in curves), key=len)
        at = [
            [c["loss"][i] for c in curves if i < len(c["loss"]) and c["loss"][i] is not None] for i in range(len(rows))
        ]
        kept = [i for i, losses in enumerate(at) if losses]
        series.append(
            {
                "name": f"{arm}, {len(curves)} seed{'s' * (len(curves) != 1)}",
                "arm": arm,
                "x": [rows[i] for i in kept],
                "y": [sum(at[i]) / len(at[i]) for i in kept],
                "lower": [min(at[i]) for i in kept],
                "upper": [max(at[i]) for i in kept],
            }
        )
    if not series:
        return None
    parameters = next((f"{m['parameters']:,} parameters" for m in models if m.get("parameters")), "")
    return Plot(
        id=f"loss_curves_{tier}",
        kind="lines",
        title=f"Loss curves, tier {tier}" + (f": {parameters}" if parameters else ""),
        caption="Loss on held-out real rows while training; the band is the range over seeds.",
        data={
            "x_label": "rows seen",
            "y_label": "loss per cell (nats)",
            "x_scale": "log",
            "y_scale": "linear",
            "series": series,
        },
    )


def scaling_fit(cascade: CascadeSection, scaling: dict[str, Any]) -> Plot | None:
    """Returns the final losses over parameters with the fitted curve and its forecast."""
    series: list[dict[str, Any]] = []
    sizes: list[float] = []
    for arm in ARMS:
        found = [
            (m["parameters"], m["loss"])
            for m in cascade.models
            if m.get("arm") == arm and m.get("parameters") and m.get("loss") is not None
        ]
        if found:
            series.append(
                {"name": arm, "arm": arm, "mark": "points", "x": [p for p, _ in found], "y": [y for _, y in found]}
            )
            sizes += [p for p, _ in found]
    a, b, c = (scaling.get(key) for key in "abc")
    if not series:
        return None
    if a is not None and b is not None and c is not None:
        target = scaling.get("target_parameters") or max(sizes)
        low, high = math.log(min(sizes)), math.log(max(max(sizes), target))
        grid = [math.exp(low + (high - low) * i / 40) for i in range(41)]
        series.append({"name": "fit", "mark": "line", "x": grid, "y": [a * n**-b + c for n in grid]})
        predicted = scaling.get("predicted_loss") or {}
        if predicted.get("value") is not None and scaling.get("target_parameters"):
            forecast = {"name": "forecast", "mark": "interval", "x": [target], "y": [predicted["value"]]}
            series.append(forecast | {"lower": [predicted["lower"]], "upper": [predicted["upper"]]})
    return Plot(
        id="scaling_fit",
        kind="points",
        title="Loss over model size",
        caption="One point for each trained model; the curve is fitted to the candidate's tiers.",
        data={
            "x_label": "parameters",
            "y_label": "loss per cell (nats)",
            "x_scale": "log",
            "y_scale": "linear",
            "series": series,
        },
    )

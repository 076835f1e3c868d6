"""Loss curves of a report, by tier and arm."""

from vr.pipeline.report import ValidationReport

__all__ = ["mean_curves"]


def mean_curves(report: ValidationReport) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Returns, by tier and arm, the mean held-out loss over the tier's members as (rows seen, loss in nats) pairs.

    A reading that some member lacks is averaged over those that have it.
    """
    readings: dict[str, dict[str, dict[float, list[float]]]] = {}
    for model in report.cascade.models:
        # A model that diverged may have stopped before its first reading.
        if not (curve := model.get("loss_curve")):
            continue
        by_rows = readings.setdefault(str(model["tier"]), {}).setdefault(str(model["arm"]), {})
        for rows, loss in zip(curve["rows"], curve["loss"], strict=False):
            if loss is not None:
                by_rows.setdefault(float(rows), []).append(float(loss))
    return {
        tier: {
            arm: [(rows, sum(losses) / len(losses)) for rows, losses in sorted(by_rows.items())]
            for arm, by_rows in arms.items()
        }
        for tier, arms in readings.items()
    }

"""Loss curves of a report, by tier and arm."""

from vr.pipeline.report import ValidationReport

__all__ = ["mean_curves"]


def mean_curves(report: ValidationReport) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Returns, by tier and arm, the mean held-out loss over the tier's members as (step, loss in nats) pairs.

    A reading that some member lacks is averaged over those that have it.
    """
    readings: dict[str, dict[str, dict[float, list[float]]]] = {}
    for model in report.cascade.models:
        by_step = readings.setdefault(str(model["tier"]), {}).setdefault(str(model["arm"]), {})
        for step, loss in zip(model["loss_curve"]["step"], model["loss_curve"]["loss"], strict=True):
            if loss is not None:
                by_step.setdefault(float(step), []).append(float(loss))
    return {
        tier: {
            arm: [(step, sum(losses) / len(losses)) for step, losses in sorted(by_step.items())]
            for arm, by_step in arms.items()
        }
        for tier, arms in readings.items()
    }

"""Loss curves averaged over members."""

from vr.pipeline.report import CascadeSection, Status, ValidationReport
from vr.telemetry.curves import mean_curves


def report_with(models: list[dict]) -> ValidationReport:
    cascade = CascadeSection(status=Status.measured, preset="smoke", models=models)
    return ValidationReport.model_construct(cascade=cascade)


def test_members_of_one_arm_are_averaged():
    models = [
        {"tier": "tier_1", "arm": "candidate", "loss_curve": {"rows": [10, 20], "loss": [2.0, 1.0]}},
        {"tier": "tier_1", "arm": "candidate", "loss_curve": {"rows": [10, 20], "loss": [4.0, None]}},
        {"tier": "tier_1", "arm": "reference", "loss_curve": {"rows": [10], "loss": [1.5]}},
        {"tier": "tier_2", "arm": "reference", "loss_curve": None},
    ]
    assert mean_curves(report_with(models)) == {
        "tier_1": {"candidate": [(10.0, 3.0), (20.0, 1.0)], "reference": [(10.0, 1.5)]}
    }


def test_no_cascade_has_no_curves():
    assert mean_curves(report_with([])) == {}

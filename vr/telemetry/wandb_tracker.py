"""Weights & Biases, offline unless told otherwise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vr.pipeline.progress import Event
from vr.pipeline.report import ValidationReport
from vr.telemetry.curves import mean_curves

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

__all__ = ["WandbTracker"]


class WandbTracker:
    """Logs configuration, progress numbers, loss curves, scores, and the report as an artifact.

    Args:
      project: W&B's project.
      mode: `offline`, `online` or `disabled`.
      timeout_s: Longest that W&B may take to start, in seconds.
    """

    def __init__(self, *, project: str, mode: str, timeout_s: float):
        self._project = project
        self._mode = mode
        self._timeout_s = timeout_s
        self._run: Run | None = None

    def start(self, configuration: dict[str, Any], folder: Path) -> None:
        """Begins a run whose folder is `folder`/wandb, unless WANDB_DIR says otherwise."""
        # W&B's own crash reports would leave the machine, which a run that is offline must not do.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        folder = Path(os.environ.get("WANDB_DIR", folder))
        folder.mkdir(parents=True, exist_ok=True)
        # Quiet, and nothing but what is logged here: no console capture, no git state, no machine statistics.
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
            init_timeout=self._timeout_s,
        )
        self._run = wandb.init(
            project=self._project,
            mode=self._mode,  # pyright: ignore[reportArgumentType]: checked by TrackingConfig
            dir=str(folder),
            config=configuration,
            job_type="validate",
            settings=settings,
            reinit="create_new",
        )

    def log(self, event: Event) -> None:
        """Logs the event's numbers and how far its stage is."""
        if self._run is not None and event.values:
            self._run.log({**event.values, f"progress/{event.stage}": event.done})

    def finish(self, report: ValidationReport | None, folder: Path | None) -> None:
        """Logs curves and scores, attaches the report and closes the run; marks it failed where there is no report."""
        run, self._run = self._run, None
        if run is None:
            return
        if report is None:
            run.finish(exit_code=1)
            return
        _log_curves(run, report)
        run.summary.update(_scores(report))
        run.log_artifact(_artifact(run.id, report, folder))
        run.finish()


def _log_curves(run: "Run", report: ValidationReport) -> None:
    """Logs each tier's mean training loss, all arms over the rows seen."""
    for tier, arms in mean_curves(report).items():
        axis = f"loss/{tier}/rows"
        run.define_metric(axis, hidden=True)
        run.define_metric(f"loss/{tier}/*", step_metric=axis)
        points: dict[float, dict[str, float]] = {}
        for arm, curve in arms.items():
            for rows, loss in curve:
                points.setdefault(rows, {})[f"loss/{tier}/{arm}"] = loss
        for rows in sorted(points):
            run.log({axis: rows, **points[rows]})


def _scores(report: ValidationReport) -> dict[str, Any]:
    """Returns the numbers that runs are compared by; what was not measured is left out."""
    scores: dict[str, Any] = {
        "verdict": report.verdict.value,
        "risk_score": report.risk_score,
        "collapse_detected": report.collapse_detected,
        "collapse_probability": report.collapse_probability.value,
    }
    for name, dimension in report.dimensions.items():
        scores[f"dimension/{name}"] = dimension.score
    return {name: value for name, value in scores.items() if value is not None}


def _artifact(name: str, report: ValidationReport, folder: Path | None) -> Any:
    import wandb

    artifact = wandb.Artifact(f"report-{name}", type="report")
    page = None if folder is None else folder / "report.html"
    if page is not None and page.exists():
        artifact.add_file(str(page), name="report.html")
    with artifact.new_file("report.json", mode="w", encoding="utf-8") as file:
        file.write(report.to_json())
    return artifact

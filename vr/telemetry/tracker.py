"""Trackers: where a run's numbers go beside its report."""

from pathlib import Path
from typing import Any, Protocol

from vr.pipeline.config import TrackerKind, TrackingConfig
from vr.pipeline.progress import Event
from vr.pipeline.report import ValidationReport

__all__ = ["NoTracker", "Tracker", "build"]


class Tracker(Protocol):
    """What a run tells a tracker, in this order; each call may block or raise, and neither reaches the run."""

    def start(self, configuration: dict[str, Any], folder: Path) -> None:
        """Begins a tracked run whose own files go under `folder`."""
        ...

    def log(self, event: Event) -> None:
        """Takes one step forward with its numbers."""
        ...

    def finish(self, report: ValidationReport | None, folder: Path | None) -> None:
        """Ends the tracked run with its report, None where the run failed; `folder` holds the report's files."""
        ...


class NoTracker:
    """Keeps nothing."""

    def start(self, configuration: dict[str, Any], folder: Path) -> None:
        """Does nothing."""

    def log(self, event: Event) -> None:
        """Does nothing."""

    def finish(self, report: ValidationReport | None, folder: Path | None) -> None:
        """Does nothing."""


def build(config: TrackingConfig) -> Tracker:
    """Returns the configured tracker; its library is loaded when it starts."""
    if config.kind is TrackerKind.wandb:
        from vr.telemetry.wandb_tracker import WandbTracker

        return WandbTracker(project=config.project, mode=config.mode, timeout_s=config.timeout_s)
    return NoTracker()

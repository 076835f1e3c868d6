"""Stages of a validation, as its child tells of them: timed for the metrics, and spans of the trace."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from vr.server.metrics import STAGES, Work
from vr.server.traces import Span, Traces

__all__ = ["StageWatch"]


class StageWatch:
    """Watches one validation; use it in a `with`.

    Args:
      work: Told how long each stage took, and how fast proxies train.
      traces: That each stage is a span of.
    """

    def __init__(self, work: Work, traces: Traces):
        self._work, self._traces = work, traces
        self._stage: str | None = None
        self._begun = 0.0
        self._span: Span | None = None

    def __enter__(self) -> "StageWatch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes one event."""
        stage = event["stage"]
        if stage != self._stage:
            self._end()
            self._stage, self._begun = stage, time.monotonic()
            self._span = self._traces.begin(f"stage {stage}")
        training = event.get("training")
        if training is not None:
            self._work.train(self, training["rows_per_second"], training["busy"])

    def _end(self) -> None:
        self._work.rest(self)
        if self._stage in STAGES:
            self._work.stage_seconds.labels(self._stage).observe(time.monotonic() - self._begun)
        if self._span is not None:
            self._span.end()
        self._stage = self._span = None

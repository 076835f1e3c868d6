"""Answers gathered in windows, when these agree, and the figures that are told of them. All percentiles are exact."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vr.client.load.plan import Plan

__all__ = ["OK", "Answer", "Window", "Windows", "distribution", "percentile", "summary"]

OK = "OK"
_REFUSALS = "RESOURCE_EXHAUSTED"
_SHARES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True)
class Answer:
    """What became of one question; times are seconds of one clock that only rises.

    Attributes:
      due: When it was to be sent; what it waited for at this end belongs to its latency.
      sent: When it was.
      ended: When the answer, or the failure, was there.
      code: gRPC's status code, by name.
      reason: Of docs/errors.md, of a failure that says it.
    """

    due: float
    sent: float
    ended: float
    code: str = OK
    reason: str | None = None

    @property
    def latency_s(self) -> float:
        """Seconds from when it was due to its end."""
        return self.ended - self.due


@dataclass(frozen=True)
class Window:
    """Answers that ended in one stretch of time."""

    begun: float
    ended: float
    answers: tuple[Answer, ...]

    def goodput(self, goal_s: float | None) -> float:
        """Good answers a second."""
        return sum(_is_good(each, goal_s) for each in self.answers) / (self.ended - self.begun)

    @property
    def median_s(self) -> float:
        """Median latency of what was answered; infinite where nothing was."""
        found = [each.latency_s for each in self.answers if each.code == OK]
        return statistics.median(found) if found else math.inf


class Windows:
    """The windows of one level.

    Args:
      plan: How long they are, and when they agree.
      begun: When the first one begins.
    """

    def __init__(self, plan: Plan, begun: float):
        self._plan, self._begun = plan, begun
        self._open: list[Answer] = []
        self.closed: list[Window] = []

    def add(self, answer: Answer) -> None:
        """Takes an answer; one that ended before the first window is none of theirs."""
        if answer.ended >= self._begun:
            self._open.append(answer)

    def close(self, now: float) -> None:
        """Ends the open window where it is long and full enough."""
        if now - self._begun >= self._plan.window_s and len(self._open) >= self._plan.window_requests:
            self.end(now)

    def end(self, now: float) -> None:
        """Ends the open window as it is."""
        if now > self._begun:
            self.closed.append(Window(self._begun, now, tuple(self._open)))
            self._begun, self._open = now, []

    @property
    def are_stable(self) -> bool:
        """Whether the last windows agree in goodput and in median latency."""
        last = self.closed[-self._plan.stable :]
        if len(last) < self._plan.stable:
            return False
        goodputs = [each.goodput(self._plan.goal_s) for each in last]
        medians = [each.median_s for each in last]
        if not all(goodputs):
            # Where nothing is answered, all windows are alike, and it would be over before anything was.
            return False
        return all(_agree(values, self._plan.tolerance) for values in (goodputs, medians))


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the least of `values` that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def distribution(seconds: Sequence[float]) -> dict[str, Any]:
    """Returns count, mean, percentiles and the most of latencies, in milliseconds; of none the count alone."""
    if not seconds:
        return {"count": 0}
    found = {name: _ms(percentile(seconds, share)) for name, share in _SHARES.items()}
    return {"count": len(seconds), "mean_ms": _ms(statistics.fmean(seconds)), **found, "max_ms": _ms(max(seconds))}


def summary(windows: Iterable[Window], goal_s: float | None) -> dict[str, Any]:
    """Returns the figures of windows together.

    Returns:
      {"seconds", "answers", "goodput_per_s": good answers a second, "throughput_per_s": answers and failures a second,
      "latency": of answers, from when they were due, "refused": of those that were told to come later, "errors": counts
      by code and reason, "late": answers that were too late to be good}.
    """
    windows = list(windows)
    answers = [answer for window in windows for answer in window.answers]
    seconds = sum(window.ended - window.begun for window in windows)
    good = sum(_is_good(each, goal_s) for each in answers)
    fine = [each.latency_s for each in answers if each.code == OK]
    errors = Counter(f"{each.code}/{each.reason}" if each.reason else each.code for each in answers if each.code != OK)
    return {
        "seconds": round(seconds, 3),
        "answers": len(fine),
        "goodput_per_s": round(good / seconds, 4) if seconds else 0.0,
        "throughput_per_s": round(len(answers) / seconds, 4) if seconds else 0.0,
        "latency": distribution(fine),
        "refused": distribution([each.ended - each.sent for each in answers if each.code == _REFUSALS]),
        "errors": dict(errors.most_common()),
        "late": len(fine) - good,
    }


def _is_good(answer: Answer, goal_s: float | None) -> bool:
    return answer.code == OK and (goal_s is None or answer.latency_s <= goal_s)


def _agree(values: Sequence[float], tolerance: float) -> bool:
    mean = statistics.fmean(values)
    return math.isfinite(mean) and all(abs(value - mean) <= tolerance * mean for value in values)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)

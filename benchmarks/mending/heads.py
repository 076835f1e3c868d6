"""Heads that have seen neither the dataset nor the source of the candidate that they judge."""

from functools import cache

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.harm import SKILL, SKILL_OF_TARGETS, fit_harm
from benchmarks.collapse.protocol import Cases
from experiments.calibrate import HEADS
from vr.detector.calibration import Calibration
from vr.detector.harm import HarmModel

__all__ = ["apart_calibration", "apart_harm"]


@cache
def _cases() -> Cases:
    return load_cases(["features", "targets", "reference_free"])[0]


@cache
def apart_calibration(dataset: str, source: str) -> Calibration:
    """Returns a calibration whose heads for runs without proxies were fitted without a dataset and without a source."""
    cases = _cases()
    others = cases.take((cases.datasets != dataset) & (cases.sources != source))
    heads = {name: fit_calibrated(others, HEADS[name]) for name in ("untrained", "untrained_for_targets")}
    return Calibration(f"without {dataset} and {source}", heads)


@cache
def apart_harm(dataset: str, source: str, *, of_targets: bool = False) -> HarmModel:
    """Returns a model of expected harm that was fitted without a dataset and without a source."""
    cases = _cases()
    others = cases.take((cases.datasets != dataset) & (cases.sources != source))
    return fit_harm(others, SKILL_OF_TARGETS if of_targets else SKILL)

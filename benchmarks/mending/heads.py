"""Heads that have seen neither the dataset nor the source of the candidate that they judge."""

from functools import cache

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.harm import fit_harm
from benchmarks.collapse.protocol import Cases
from experiments.calibrate import HEADS
from vr.detector.calibration import Calibration
from vr.detector.harm import HarmModel

__all__ = ["apart_calibration", "apart_harm"]


@cache
def _cases() -> Cases:
    return load_cases(["features", "reference_free"])[0]


@cache
def apart_calibration(dataset: str, source: str) -> Calibration:
    """Returns a calibration whose head for runs without proxies was fitted without a dataset and without a source."""
    cases = _cases()
    fitted = fit_calibrated(cases.take((cases.datasets != dataset) & (cases.sources != source)), HEADS["untrained"])
    return Calibration(f"without {dataset} and {source}", {"untrained": fitted})


@cache
def apart_harm(dataset: str, source: str) -> HarmModel:
    """Returns a model of expected harm that was fitted without a dataset and without a source."""
    cases = _cases()
    return fit_harm(cases.take((cases.datasets != dataset) & (cases.sources != source)))

"""Heads that have seen neither the dataset nor the source of the candidate that they judge."""

from functools import cache

import numpy as np

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.protocol import Cases
from experiments.calibrate import HEADS
from vr.detector.calibration import Calibration

__all__ = ["apart_calibration"]


@cache
def _cases() -> Cases:
    return load_cases(["features", "reference_free"])[0]


@cache
def apart_calibration(dataset: str, source: str) -> Calibration:
    """Returns a calibration whose head for runs without proxies was fitted without a dataset and without a source."""
    cases = _cases()
    fitted = fit_calibrated(cases.take((cases.datasets != dataset) & (cases.sources != source)), HEADS["untrained"])
    assert np.isfinite(fitted.slope)
    return Calibration(f"without {dataset} and {source}", {"untrained": fitted})

"""The pre-screen: before anything is trained, is it worth training at all, and what does the candidate look like?

A monotone head on the fingerprint gives the probability of collapse: it judged better than a vote of the nearest
signatures, which say what the candidate resembles. `stop` where the head would stop at most about 1.5 % of healthy
datasets (conformal risk control); everything else is for the cascade to find out: `proceed` is no approval.
`experiments/fit_signatures.py` fits it and writes its error card.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from vr.detector.calibration import Calibrated, Calibration
from vr.detector.config import DetectorConfig
from vr.detector.metric import Feature
from vr.detector.verdict import judge
from vr.signatures.fingerprint import SPECS, fingerprint
from vr.signatures.library import Library, Match

__all__ = ["PreScreen", "Screened", "load_prescreen"]

# The head's own name among the situations of a verdict: with a reference and without proxies.
_SITUATION = "untrained"


@dataclass(frozen=True)
class Screened:
    """What is known before any training.

    Attributes:
      probability: Of collapse, 0 to 1, with the ends of its interval at `level`; None where nothing was measured.
      lower: Lower end.
      upper: Upper end.
      level: Of the interval.
      stop: Whether not to train.
      stop_from: Probability from which.
      fingerprint: Components, None where not defined.
      matches: The nearest signatures, best first; none where nothing was measured.
      outside: Whether none of them is near enough to say anything; None where there are no matches.
      beyond: Labels of metrics outside of what the head was fitted to.
    """

    probability: float | None
    lower: float | None
    upper: float | None
    level: float
    stop: bool
    stop_from: float
    fingerprint: tuple[float | None, ...]
    matches: tuple[Match, ...]
    outside: bool | None
    beyond: tuple[str, ...]


@dataclass(frozen=True)
class PreScreen:
    """The fitted head, and from where on a candidate is outside the library.

    Attributes:
      version: What reports name.
      calibrated: The head with its threshold.
      outside_below: Similarity to the nearest signature below which nothing is near.
      card: Error rates on cases whose dataset and source the head had not seen.
    """

    version: str
    calibrated: Calibrated
    outside_below: float
    card: Mapping[str, Any]

    def screen(self, features: Mapping[str, Feature], library: Library, neighbours: int) -> Screened:
        """Returns what the fingerprint's metrics, and the library, say of a candidate."""
        calibration = Calibration(self.version, {_SITUATION: self.calibrated})
        found = judge(features, SPECS, DetectorConfig(), with_reference=True, calibration=calibration)
        components = fingerprint(features)
        # What was measured nowhere looks like nothing, not like what has no shift anywhere.
        measured = any(value is not None for value in components)
        matches = library.match(components, neighbours) if measured else []
        return Screened(
            probability=found.probability,
            lower=found.lower,
            upper=found.upper,
            level=found.level,
            stop=found.verdict == "reject",
            stop_from=self.calibrated.reject_from,
            fingerprint=components,
            matches=tuple(matches),
            outside=matches[0].similarity < self.outside_below if matches else None,
            beyond=found.beyond,
        )

    @property
    def line(self) -> str:
        """The error card in one sentence, on clear cases."""
        clear = self.card["clear"]
        auroc, stopped, alarms = clear["auroc"], clear["stopped"], clear["healthy_stopped"]
        return (
            f"on {clear['cases'][0]:,} clear cases of {self.card['datasets']} real datasets, by heads that had seen "
            f"neither a case's dataset nor its generator: AUROC {auroc[0]:.3f} ({auroc[1]:.3f} to {auroc[2]:.3f}); "
            f"{100 * stopped[0]:.0f} % of the collapsed and {100 * alarms[0]:.1f} % of the healthy are stopped"
        )


@cache
def load_prescreen() -> PreScreen:
    """Returns the pre-screen that the package ships."""
    document = json.loads(files("vr.signatures").joinpath("prescreen.json").read_text(encoding="utf-8"))
    return PreScreen(
        document["version"],
        Calibrated.from_dict(document["head"]),
        float(document["outside_below"]),
        document["card"],
    )

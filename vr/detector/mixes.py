"""What the verdict would read of the candidate mixed with real rows, at every share of them.

No row judges what it taught: the two-sample statistics take the real rows of a mix from one part of the reference and
are measured against another (`Split.fresh`, `Split.base`); the forests of the skill test are judged on folds of the
reference whose rows were not in their mix. A mix has as many rows as the candidate, so that what a share buys is told
apart from what more rows buy. Proxies are not trained again: mixes are judged by the head that reads none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vr.detector.calibration import Calibration
from vr.detector.config import DetectorConfig
from vr.detector.harm import HarmModel, expected_harm
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.remeasure import Changed, remeasure
from vr.detector.verdict import judge, situation_of

__all__ = ["Mixes", "MixRisks", "harm_of_mixes", "judge_mixes", "measure_mixes"]


@dataclass(frozen=True)
class Mixes:
    """Features of mixes, k shares of real rows by m draws of the rows of both sides.

    Attributes:
      shares: float `[k]`, of real rows, ascending.
      features: `[k][m]` mappings by qualified name.
      reason: Why there are none.
    """

    shares: np.ndarray
    features: tuple[tuple[Mapping[str, Feature], ...], ...]
    reason: str | None = None


@dataclass(frozen=True)
class MixRisks:
    """Risks of mixes, 0 to 100.

    Attributes:
      shares: float `[k]`.
      risk: float `[k]`, of the features' means over draws.
      review_from: Risk from which the verdict is no approval.
    """

    shares: np.ndarray
    risk: np.ndarray
    review_from: float


def measure_mixes(
    inputs: Inputs,
    features: Mapping[str, Feature],
    specs: Mapping[str, MetricSpec],
    shares: Sequence[float],
    draws: int,
    on_share: Callable[[int], None] | None = None,
) -> Mixes:
    """Returns what the head without proxies reads of the candidate mixed with reference rows.

    Args:
      inputs: With which `features` were measured.
      features: Of the candidate as it is, by qualified name.
      specs: What they are.
      shares: Of real rows, ascending, each above 0 and below 1; the candidate as it is comes first in the result.
      draws: Of the rows of each mix, at most the number of splits.
      on_share: Told the number of shares done.
    """
    plain = {name: feature for name, feature in features.items() if not specs[name].proxies}
    every = np.ones(len(inputs.candidate), bool)
    draws = min(draws, len(inputs.splits)) or 1
    found: list[tuple[Mapping[str, Feature], ...]] = [(plain,) * draws]
    for done, share in enumerate(shares, start=1):
        changed = Changed(inputs.candidate, every, real_share=float(share))
        mixed = []
        for draw in range(draws):
            again = remeasure(inputs, plain, situation_of(plain), changed, num_splits=1, first=draw)
            if again.features is None:
                return Mixes(np.empty(0), (), again.reason)
            mixed.append(again.features)
        found.append(tuple(mixed))
        if on_share is not None:
            on_share(done)
    return Mixes(np.array([0.0, *shares]), tuple(found))


def judge_mixes(
    mixes: Mixes, specs: Mapping[str, MetricSpec], config: DetectorConfig, calibration: Calibration | None = None
) -> MixRisks | None:
    """Returns the risk of every mix; None where nothing that the head reads was measured.

    Args:
      mixes: Measured.
      specs: What their features are.
      config: Thresholds, where they are not to be the calibrated ones.
      calibration: The fitted heads; those that the package ships by default.
    """
    found = [
        judge(_mean(draws), specs, config, with_reference=True, calibration=calibration) for draws in mixes.features
    ]
    risks = [100.0 * each.probability for each in found if each.probability is not None]
    if not found or len(risks) < len(found):
        return None
    return MixRisks(mixes.shares, np.array(risks), found[0].review_from)


def harm_of_mixes(mixes: Mixes, specs: Mapping[str, MetricSpec], model: HarmModel | None = None) -> np.ndarray | None:
    """Returns the harm to expect of every mix, float `[k]`, by the features' means over draws; None where not known.

    Args:
      mixes: Measured.
      specs: What their features are.
      model: Of expected harm; the one that the package ships by default.
    """
    found = [expected_harm(_mean(draws), specs, model) for draws in mixes.features]
    harms = [each.value for each in found if each is not None]
    return np.array(harms) if found and len(harms) == len(found) else None


def _mean(draws: Sequence[Mapping[str, Feature]]) -> dict[str, Feature]:
    """Returns the features with their values averaged over draws; the nulls are the same in all."""
    found = {}
    for name, feature in draws[0].items():
        values = [value for draw in draws if (value := draw[name].value) is not None]
        found[name] = feature if feature.value is None else replace(feature, value=float(np.mean(values)))
    return found

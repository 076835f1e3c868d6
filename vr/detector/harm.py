"""The harm to expect: how much skill training on a candidate would lose, by what the verdict reads without proxies.

    harm = bias + sum_i a_i max(0, x_0 - c_i) + sum_j w_j g_j(x_j),   a_i >= 0,   w_j >= 0

x_0 is the share of skill that forests lose, c_i its kinks, and g_j the rank of another feature among the training
cases, piecewise linear between knots. A risk says how likely collapse is, and cannot tell a bad dataset from a worse
one; harm can, so that what a remedy buys is told in it. `harm.json`, and `harm_targets.json` for who names the columns
to be predicted, are fitted by `python -m experiments.harm`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from vr.detector.calibration import SKILL_LOST_TARGETS, metrics_of, variables
from vr.detector.metric import Feature, MetricSpec

__all__ = ["HarmModel", "Harm", "expected_harm", "harm_model_of", "load_harm_model"]


@dataclass(frozen=True)
class HarmModel:
    """A fitted model.

    Attributes:
      skill: The feature x_0, in its own unit.
      kinks: float `[r]`, ascending.
      slopes: float `[r]`, added from each kink on, at least 0.
      names: The other features, `k`.
      knots: float `[k, m]`.
      heights: float `[k, m]`, 0 to 1.
      weights: float `[k]`, at least 0.
      bias: The constant.
      bands: float `[b]`, ascending ends of expected harm between which errors are alike.
      errors: float `[b + 1, 2]`, the 5 % and 95 % quantile of measured less expected harm in each band, on datasets
        that the model had not seen.
      card: How well it did on those.
    """

    skill: str
    kinks: np.ndarray
    slopes: np.ndarray
    names: tuple[str, ...]
    knots: np.ndarray
    heights: np.ndarray
    weights: np.ndarray
    bias: float
    bands: np.ndarray
    errors: np.ndarray
    card: Mapping[str, Any]

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what the model reads."""
        return (self.skill, *self.names)

    def expected(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the harm to expect of every case, float `[n]`; a feature that was not measured counts as no shift."""
        return self.bias + design(values, self) @ np.concatenate([self.slopes, self.weights])

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        arrays = ("kinks", "slopes", "knots", "heights", "weights", "bands", "errors")
        return {
            "skill": self.skill,
            "names": list(self.names),
            "bias": round(self.bias, 8),
            **{name: np.round(getattr(self, name), 8).tolist() for name in arrays},
            "card": dict(self.card),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "HarmModel":
        """Returns the model of a document that `to_dict` made."""
        arrays = ("kinks", "slopes", "knots", "heights", "weights", "bands", "errors")
        return cls(
            skill=document["skill"],
            names=tuple(document["names"]),
            bias=float(document["bias"]),
            card=document["card"],
            **{name: np.array(document[name], float) for name in arrays},
        )


@dataclass(frozen=True)
class Harm:
    """Share of skill that training on a dataset would lose; `lower` to `upper` held nine in ten of unseen cases."""

    value: float
    lower: float
    upper: float


def design(values: Mapping[str, np.ndarray], model: HarmModel) -> np.ndarray:
    """Returns what the coefficients multiply, float `[n, r + k]`."""
    lost = np.nan_to_num(np.asarray(values[model.skill], float))
    ramps = np.maximum(0.0, lost[:, None] - model.kinks)
    ranks = [
        np.interp(np.nan_to_num(np.asarray(values[name], float)), xs, ys)
        for name, xs, ys in zip(model.names, model.knots, model.heights, strict=True)
    ]
    return np.column_stack([ramps, *ranks])


def expected_harm(
    features: Mapping[str, Feature], specs: Mapping[str, MetricSpec], model: HarmModel | None = None
) -> Harm | None:
    """Returns the harm to expect of a candidate; None where the skill that forests lose was not measured.

    Args:
      features: By qualified name.
      specs: What they are.
      model: The one that the package ships for what was measured by default.
    """
    model = harm_model_of(features) if model is None else model
    read = metrics_of(model.variables)
    values = variables({name: each for name, each in features.items() if name in read}, specs)
    if not np.isfinite(values.get(model.skill, np.nan)):
        return None
    found = {name: np.array([values.get(name, np.nan)]) for name in model.variables}
    value = float(model.expected(found)[0])
    low, high = model.errors[int(np.searchsorted(model.bands, value))]
    return Harm(value, value + min(0.0, float(low)), value + max(0.0, float(high)))


def harm_model_of(features: Mapping[str, Feature]) -> HarmModel:
    """Returns the shipped model for features: that of named targets where the skill lost at them was measured."""
    found = features.get(SKILL_LOST_TARGETS)
    return load_harm_model(of_targets=found is not None and found.value is not None)


@cache
def load_harm_model(*, of_targets: bool = False) -> HarmModel:
    """Returns a model that the package ships: for all columns, or for who names those that are to be predicted."""
    name = "harm_targets.json" if of_targets else "harm.json"
    return HarmModel.from_dict(json.loads(files("vr.detector").joinpath(name).read_text(encoding="utf-8")))

"""How varied each column is: entropy, effective number of values, concentration, and its commonest value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Columns, Inputs, Side
from vr.detector.metric import Feature
from vr.stats.divergences import histograms
from vr.stats.entropy import entropy_nats, gini

__all__ = ["ColumnVariety", "FLOOR_NATS", "column_statistics", "column_variety"]

FLOOR_NATS = 0.03  # a difference that does not matter in practice


@dataclass(frozen=True)
class ColumnVariety:
    """One encoded column.

    Attributes:
      name: Its name; parts of a date have one each.
      entropy: Of its codes, in nats, bias-corrected.
      gini: Inequality among the counts of the codes that occur: 0 where all are equally common, near 1 where one has
        nearly all rows.
      top: The commonest value, or range of values.
      top_share: Of the rows.
      reference_top_share: The same value's share in the reference; None without one.
    """

    name: str
    entropy: Feature
    gini: Feature
    top: str
    top_share: float
    reference_top_share: float | None

    @property
    def entropy_z(self) -> float | None:
        """How many deviations the entropy lies below the reference's own; None without a null."""
        return _below(self.entropy, FLOOR_NATS)


def column_variety(inputs: Inputs, compared: Mapping[str, Feature]) -> list[ColumnVariety]:
    """Returns the columns, those that lost most entropy against their null first; without nulls in file order.

    Args:
      inputs: Both samples.
      compared: What `column_statistics` gives over all splits; empty where there are none.
    """
    columns = inputs.columns
    tables = histograms(inputs.candidate.codes, columns.num_codes)
    if inputs.splits:
        found = compared
    else:
        reason = inputs.splits_reason or "needs a reference"
        values = _measured(tables, tables > 0)
        found = {
            name: Feature(float(value), reason=reason) if np.isfinite(value) else Feature.missing(reason)
            for name, value in values.items()
        }
    shares = None if inputs.reference is None else _shares(histograms(inputs.reference.codes, columns.num_codes))
    result = []
    for j, (name, counts) in enumerate(zip(columns.names, tables, strict=True)):
        top = int(np.argmax(counts))
        result.append(
            ColumnVariety(
                name,
                found[f"{j}.entropy"],
                found[f"{j}.gini"],
                columns.labels[j][top],
                float(counts[top] / max(1, counts.sum())),
                None if shares is None else float(shares[j][top]),
            )
        )
    return sorted(result, key=lambda column: -(column.entropy_z or 0.0))


def column_statistics(base: Side, columns: Columns) -> Callable[[Side], dict[str, float]]:
    """Returns what measures every column of a side, `{position}.entropy` and `{position}.gini`, against `base`."""
    # What counts as a code is the same for both that are held against one base.
    occurs = histograms(base.codes, columns.num_codes) > 0

    def statistics(x: Side) -> dict[str, float]:
        tables = histograms(x.codes, columns.num_codes)
        return _measured(tables, occurs | (tables > 0))

    return statistics


def _measured(tables: np.ndarray, occurs: np.ndarray) -> dict[str, float]:
    entropies = entropy_nats(tables)
    result = {f"{j}.entropy": float(entropies[j]) for j in range(len(tables))}
    return result | {f"{j}.gini": float(gini(counts[occurs[j]])) for j, counts in enumerate(tables)}


def _shares(tables: np.ndarray) -> np.ndarray:
    return tables / np.maximum(tables.sum(axis=1, keepdims=True), 1)


def _below(feature: Feature, floor: float) -> float | None:
    if feature.value is None or feature.null_mean is None or feature.null_std is None:
        return None
    return (feature.null_mean - feature.value) / float(np.hypot(feature.null_std, floor))

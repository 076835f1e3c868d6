"""How varied the texts of a column are: how many different ones they amount to, and how many nearly repeat another.

Texts are compared as unit vectors of hashed character n-grams. All numbers are of samples of equal size; their null is
what random halves of the reference's texts give.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.data.encoders import text_vectors
from vr.detector.metric import Feature, MetricSpec
from vr.stats.entropy import vendi_order2

__all__ = ["METRICS", "text_variety"]


@dataclass(frozen=True)
class Settings:
    """How many texts are compared."""

    max_rows: int = 400  # texts of a side
    num_splits: int = 8
    near: float = 0.9  # product of two texts' vectors from which they nearly repeat each other
    min_rows: int = 20


METRICS: dict[str, MetricSpec] = {
    "different": MetricSpec(
        "effective number",
        "Order-2 Vendi score of the texts: as many texts without anything in common are as varied.",
        0.5,
        "texts",
        higher_is_worse=False,
    ),
    "near_repeats": MetricSpec(
        "near repeats", "Share of texts that share nearly all their character n-grams with another one.", 0.02
    ),
    "near_copies": MetricSpec(
        "near copies of the reference",
        "Share of texts that share nearly all their character n-grams with a text of the reference.",
        0.02,
    ),
}


def text_variety(
    candidate: pa.Table, reference: pa.Table | None, names: list[str], seed: int, settings: Settings = Settings()
) -> Mapping[str, dict[str, Feature]]:
    """Returns the metrics of each text column by its name.

    Args:
      candidate: Rows with the columns.
      reference: Likewise; None without one.
      names: The text columns.
      seed: Of the rows that are compared.
      settings: How many.
    """
    result = {}
    for name in names:
        rng = np.random.default_rng([seed, 43])
        most = 2 * settings.max_rows
        own = _vectors(candidate, name, most, rng)
        theirs = None if reference is None else _vectors(reference, name, most, rng)
        result[name] = _measured(own, theirs, rng, settings)
    return result


def _measured(
    own: np.ndarray, theirs: np.ndarray | None, rng: np.random.Generator, settings: Settings
) -> dict[str, Feature]:
    size = min(settings.max_rows, len(own), settings.max_rows if theirs is None else len(theirs) // 2)
    if size < settings.min_rows:
        return {name: Feature.missing(f"texts need {settings.min_rows} rows to be compared") for name in METRICS}
    if theirs is None:
        reason = "needs a reference"
        found = {name: Feature(value, reason=reason) for name, value in _of(own[:size], None, settings).items()}
        return {**found, "near_copies": Feature.missing(reason)}
    observed, null = [], []
    for _ in range(settings.num_splits):
        order = rng.permutation(len(theirs))
        fresh, base = theirs[order[:size]], theirs[order[size : 2 * size]]
        observed.append(_of(own[rng.permutation(len(own))[:size]], base, settings))
        null.append(_of(fresh, base, settings))
    return {name: Feature.of([x[name] for x in observed], [x[name] for x in null]) for name in METRICS}


def _of(vectors: np.ndarray, base: np.ndarray | None, settings: Settings) -> dict[str, float]:
    products = vectors @ vectors.T
    np.fill_diagonal(products, 0.0)
    result = {
        "different": vendi_order2(vectors),
        "near_repeats": float((products.max(axis=1) >= settings.near).mean()),
    }
    if base is not None:
        result["near_copies"] = float(((vectors @ base.T).max(axis=1) >= settings.near).mean())
    return result


def _vectors(table: pa.Table, name: str, most: int, rng: np.random.Generator) -> np.ndarray:
    column = table.column(name).combine_chunks().drop_null()
    if len(column) > most:
        column = column.take(pa.array(np.sort(rng.permutation(len(column))[:most])))
    return text_vectors(column)

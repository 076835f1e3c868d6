"""The rows of most evidence, gathered batch by batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vr.data.codec import Coded
from vr.localization.judge import Readings
from vr.localization.row_evidence import Evidence

__all__ = ["Worst"]


@dataclass(frozen=True)
class Worst:
    """The rows of most evidence so far; ties go to the earlier row, so that batches do not matter.

    Attributes:
      coded: The rows.
      rows: int64 `[n]`, their numbers.
      readings: What was found of them.
      confidence: float `[n]`, how likely each is wrong.
    """

    coded: Coded
    rows: np.ndarray
    readings: Readings
    confidence: np.ndarray

    @classmethod
    def of(cls, coded: Coded, rows: np.ndarray, readings: Readings, confidence: np.ndarray, most: int) -> "Worst":
        """Returns the `most` worst of some rows, the worst first; a row without a defect is none of them."""
        able = np.flatnonzero(readings.defect > 0)
        evidence = readings.total[able]
        if 0 < most < len(able):
            kept = evidence >= np.partition(evidence, -most)[-most]
            able, evidence = able[kept], evidence[kept]
        order = able[np.lexsort((rows[able], -evidence))[:most]]
        return cls(coded.take(order), rows[order], readings.take(order), confidence[order])

    def merge(self, other: "Worst", most: int) -> "Worst":
        """Returns the `most` worst of both."""

        def both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.concatenate([a, b])

        return Worst.of(
            Coded(both(self.coded.codes, other.coded.codes), both(self.coded.values, other.coded.values)),
            both(self.rows, other.rows),
            self.readings.join(other.readings),
            both(self.confidence, other.confidence),
            most,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all of it as arrays, of which `of_arrays` makes it again."""
        readings = self.readings
        assert readings.judged is not None
        tails, which_pair, outside = readings.judged.arrays()
        return {
            "codes": self.coded.codes,
            "values": self.coded.values,
            "rows": self.rows,
            "confidence": self.confidence,
            "evidence": readings.evidence,
            "rarity": readings.rarity,
            "odds": readings.odds,
            "tails": tails,
            "which_pair": which_pair,
            "outside": outside,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Worst":
        """Returns what gave these `arrays`."""
        judged = Evidence(arrays["tails"], arrays["which_pair"], arrays["outside"])
        readings = Readings(arrays["evidence"], arrays["rarity"], arrays["odds"], judged)
        return cls(Coded(arrays["codes"], arrays["values"]), arrays["rows"], readings, arrays["confidence"])

"""Row scores: the evidence against each row, weighed and judged."""

from dataclasses import dataclass

import numpy as np

from vr.data.codec import Coded
from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns
from vr.localization.head import Head, load_head
from vr.localization.judge import DEFECTS, Judge, Readings
from vr.localization.row_evidence import RowEvidence

__all__ = ["DEFECTS", "Readings", "RowScorer"]


@dataclass(frozen=True)
class RowScorer:
    """Scores any rows of the candidate.

    Attributes:
      evidence: What speaks against a row.
      judge: What it amounts to.
    """

    evidence: RowEvidence
    judge: Judge

    @classmethod
    def of(
        cls,
        evidence: RowEvidence,
        repeated: np.ndarray,
        *,
        duplicate_weight: float,
        duplicate_rate: float = 1.0,
        head: Head | None = None,
    ) -> "RowScorer":
        """Returns what scores rows by the evidence against them.

        Args:
          evidence: Fitted on both samples.
          repeated: bool `[n]`, rows of the candidate's sample that repeat an earlier row.
          duplicate_weight: Share of the candidate's repeats that the reference's own rate does not explain, 0 to 1.
          duplicate_rate: Share of the reference's rows, at equal size, that repeat others; 1 where it is not known.
          head: Weighs the evidence; None for the one that is shipped.
        """
        assert evidence.sample is not None
        head = head or load_head()
        return cls(
            evidence, Judge.fit(head, evidence.null, evidence.sample, repeated, duplicate_weight, duplicate_rate)
        )

    @property
    def columns(self) -> Columns:
        """The encoded columns."""
        return self.evidence.columns

    @property
    def embedding(self) -> Embedding:
        """Rows as points."""
        return self.evidence.embedding

    @property
    def num_held_out(self) -> int:
        """Reference rows that scores are held against."""
        return len(self.judge.scale.null)

    def read(self, coded: Coded, rows: np.ndarray, repeated: np.ndarray) -> Readings:
        """Returns the readings of candidate rows.

        Args:
          coded: The rows.
          rows: int64 `[n]`, their row numbers, ascending.
          repeated: bool `[n]`, exact repeats of an earlier row.
        """
        return self.judge.read(self.evidence.read(coded, rows), repeated)

    def log_ratio(self, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns log p(candidate) / p(reference) of each row by the model that did not see its fold, `[n]`."""
        return self.evidence.log_ratio(codes, rows)

    def confidence(self, readings: Readings) -> np.ndarray:
        """Returns how likely each row is wrong, 0 to 1."""
        return self.judge.confidence(readings)

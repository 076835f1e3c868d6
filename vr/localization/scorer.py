"""Row scores: the evidence against each row, weighed and judged."""

from dataclasses import dataclass

import numpy as np

from vr.data.codec import Coded
from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side
from vr.localization.head import Head, load_head
from vr.localization.judge import DEFECTS, Judge, Readings
from vr.localization.norms import Norms
from vr.localization.row_evidence import RowEvidence

__all__ = ["DEFECTS", "Readings", "RowScorer"]


@dataclass(frozen=True)
class RowScorer:
    """Scores any rows of the candidate; fitted on the samples of both sides.

    Attributes:
      evidence: What speaks against a row.
      judge: What it amounts to.
    """

    evidence: RowEvidence
    judge: Judge

    @classmethod
    def fit(
        cls,
        candidate: Side,
        reference: Side,
        *,
        columns: Columns,
        embedding: Embedding,
        num_rows: int,
        reference_rows: int,
        max_distance_rows: int,
        duplicate_weight: float,
        duplicate_rate: float = 1.0,
        repeated: np.ndarray,
        seed: int,
        threads: int = 1,
        head: Head | None = None,
        norms: Norms | None = None,
    ) -> "RowScorer":
        """Fits to the two samples.

        Args:
          candidate: Its sample, at least 4 rows, in the order of the file.
          reference: Its sample, at least 8 rows.
          columns: The encoded columns.
          embedding: As both samples' points were made with.
          num_rows: Rows in the whole candidate.
          reference_rows: Points that distances are measured to.
          max_distance_rows: Rows of the candidate that are worth a closer look.
          duplicate_weight: Share of the candidate's repeats that the reference's own rate does not explain, 0 to 1.
          duplicate_rate: Share of the reference's rows, at equal size, that repeat others; 1 where it is not known.
          repeated: bool `[len(candidate)]`, sample rows that repeat an earlier row.
          seed: Of whatever is drawn.
          threads: Forests at a time.
          head: Weighs the evidence; None for the one that is shipped.
          norms: Fitted before to the same reference.
        """
        evidence = RowEvidence.fit(
            candidate,
            reference,
            columns=columns,
            embedding=embedding,
            num_rows=num_rows,
            reference_rows=min(reference_rows, max(4, len(reference) // 2)),
            max_distance_rows=max_distance_rows,
            seed=seed,
            threads=threads,
            norms=norms,
        )
        assert evidence.sample is not None
        head = head or load_head()
        judge = Judge.fit(head, evidence.null, evidence.sample, repeated, duplicate_weight, duplicate_rate)
        return cls(evidence, judge)

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

"""Which of a reference's rows occur in the candidate, and whether that is more than coincidence.

A partly synthetic dataset often holds real rows, and sometimes the very rows that it is about to be judged by. A row
that was trained on cannot judge: it would make a candidate look as good as the reference where it only repeats it.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Copies", "expected_coincidences", "find_copies"]

_ALL = 0.95  # of the candidate's rows being the reference's, there is nothing else in it to be judged
_MARGIN = 0.02  # of the reference's rows beyond coincidence do not matter


@dataclass(frozen=True)
class Copies:
    """What was found.

    Attributes:
      copied: bool `[n]`, rows of the reference's sample that occur anywhere in the candidate.
      expected: Share of them that a fresh sample as long as the candidate would be expected to hold, 0 to 1.
      set_aside: Whether they must not judge: more than coincidence, and the candidate holds other rows too.
    """

    copied: np.ndarray
    expected: float
    set_aside: bool

    @property
    def share(self) -> float:
        """Share of the reference's rows that occur in the candidate, 0 to 1."""
        return float(self.copied.mean()) if len(self.copied) else 0.0


def find_copies(reference_hashes: np.ndarray, copied: np.ndarray, candidate_rows: int, own_share: float) -> Copies:
    """Returns which reference rows are copied, and what follows.

    Args:
      reference_hashes: uint64 `[n]`, one a row of the reference's sample.
      copied: bool `[n]`, those that occur in the candidate.
      candidate_rows: Rows of the whole candidate.
      own_share: Share of the candidate's rows that are the reference's, 0 to 1.
    """
    expected = expected_coincidences(reference_hashes, candidate_rows)
    num_rows = max(1, len(copied))
    margin = max(_MARGIN, 4.0 * float(np.sqrt(expected * (1.0 - expected) / num_rows)))
    excess = float(copied.mean()) - expected if len(copied) else 0.0
    return Copies(copied, expected, excess > margin and own_share < _ALL)


def expected_coincidences(hashes: np.ndarray, num_rows: int) -> float:
    """Returns the share of rows that a fresh sample of `num_rows` rows is expected to hold too, 0 to 1.

    A row that occurs k times among n has a probability of about k / n, so a fresh sample lacks it with probability
    exp(-k num_rows / n). Of a row that occurs once that says too much: what the singletons weigh together is
    Turing's 2 f_2 / n, with f_j rows that occur j times.

    Args:
      hashes: `[n]`, equal for equal rows.
      num_rows: Length of the fresh sample.

    References:
      Good 1953, The population frequencies of species and the estimation of population parameters, eq. 2.
    """
    if not len(hashes):
        return 0.0
    _, counts = np.unique(hashes, return_counts=True)
    singletons, doubletons = int((counts == 1).sum()), int((counts == 2).sum())
    rate = counts.astype(float)
    if singletons:
        rate[counts == 1] = min(1.0, 2.0 * doubletons / singletons)
    return float(np.average(-np.expm1(-rate * num_rows / len(hashes)), weights=counts))

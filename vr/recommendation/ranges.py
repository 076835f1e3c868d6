"""Numbers outside of the reference's range: which columns have more of them than a fresh sample would."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Beyond", "beyond_reference"]

_TIMES_EXPECTED = 10.0
_LEAST_SHARE = 0.005


@dataclass(frozen=True)
class Beyond:
    """A column with numbers that the reference's range does not hold.

    Attributes:
      column: Its name.
      lower: The reference's least number.
      upper: Its greatest.
      rows: Rows of the whole file outside, estimated from the sample where that is smaller.
      infinite: Whether infinite numbers are among them.
    """

    column: str
    lower: float
    upper: float
    rows: int
    infinite: bool


def beyond_reference(
    columns: Sequence[tuple[str, np.ndarray, float, float]], *, num_rows: int, reference_rows: int
) -> list[Beyond]:
    """Returns the columns with too many numbers outside of the reference's range, most first.

    Of m reference rows the least and the greatest leave 2 / (m + 1) of the next rows outside, if those are drawn alike.
    A column counts from ten times that, and half a percent, on; with an infinite number it always does.

    Args:
      columns: Name, sampled numbers (float64 `[n]`, NaN left out), and the reference's least and greatest number.
      num_rows: Rows of the whole file.
      reference_rows: Rows that the range is of.
    """
    usual = 2.0 / (reference_rows + 1.0)
    found = []
    for name, values, lower, upper in columns:
        outside = (values < lower) | (values > upper)
        share, infinite = float(outside.mean()) if len(values) else 0.0, bool(np.isinf(values).any())
        if infinite or share > max(_TIMES_EXPECTED * usual, _LEAST_SHARE):
            found.append(Beyond(name, lower, upper, max(1, round(share * num_rows)), infinite))
    return sorted(found, key=lambda beyond: (-beyond.rows, beyond.column))

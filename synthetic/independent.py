"""Independent marginals: every column on its own.

Perfect one column at a time, and everything between columns is lost: the limit that other families decay to.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec
from synthetic.marginal import CodeMarginal, NumberMarginal, temper
from synthetic.table import check_request, stream

__all__ = ["Independent", "fit"]


@dataclass(frozen=True)
class Independent:
    """Fitted marginals, one per part of the codec's order."""

    codec: ColumnCodec
    marginals: tuple[NumberMarginal | CodeMarginal, ...]

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` sharpens frequencies, and draws numbers to their median."""
        check_request(n, temperature)
        rng = stream(key, "independent")
        x = np.zeros((n, len(self.marginals)))
        for j, marginal in enumerate(self.marginals):
            u = rng.random(n)
            if isinstance(marginal, CodeMarginal):
                x[:, j] = CodeMarginal(temper(marginal.probabilities, temperature)).quantile(u)
            else:
                x[:, j] = marginal.quantile(np.clip(0.5 + (u - 0.5) * np.sqrt(temperature), 0.0, 1.0))
        return self.codec.decode(self.codec.from_order(x))


def fit(table: pa.Table, key: int) -> Independent:
    """Returns the marginals of `table`; `key` only fills missing numbers."""
    codec = ColumnCodec.fit(table)
    x = codec.in_order(codec.encode(table, stream(key, "fill")))
    marginals = tuple(
        NumberMarginal.fit(x[:, j])
        if part.kind == "number"
        else CodeMarginal.fit(x[:, j].astype(np.int64), codec.num_levels[part.index])
        for j, part in enumerate(codec.order)
    )
    return Independent(codec, marginals)

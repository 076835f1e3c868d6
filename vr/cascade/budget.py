"""What a preset asks for, before anything runs: parameters, cells seen, floating-point operations.

Operations are those of the products and transforms, a multiplication and an addition counted as two, the gradient as
twice the forward pass; optimiser, norms and softmax are left out. Measured programs take a little more.
"""

from dataclasses import dataclass

from vr.cascade.config import CascadeConfig, Network
from vr.cascade.tier import arms_of
from vr.models import build, dft
from vr.models.resonance import EXPANSION

__all__ = ["Budget", "budgets", "row_flops"]


@dataclass(frozen=True)
class Budget:
    """Of one tier.

    Attributes:
      name: Of the tier.
      models: Trained: seeds times arms.
      parameters: Of each.
      cells: That each sees in training, rows times columns, every repetition counted.
      flops: Of training all of them.
    """

    name: str
    models: int
    parameters: int
    cells: int
    flops: float

    def seconds(self, flops_per_second: float) -> float:
        """Returns how long the tier takes at a rate that is reached, not that of the data sheet."""
        return self.flops / flops_per_second


def budgets(config: CascadeConfig, num_columns: int, num_codes: int) -> list[Budget]:
    """Returns every tier's budget on a table of so many columns, each of at most so many codes."""
    found, before = [], 0
    for tier in config.tiers:
        width = tier.width_on(num_columns, num_codes, before, config.heads)
        before = build.resonance_parameters(num_columns, num_codes, width, tier.depth, config.heads)
        parameters, flops = before, row_flops(num_columns, num_codes, width, tier.depth, config.heads)
        if config.network is Network.mlp:
            channels, hidden = build.mlp_shape(num_columns, num_codes, before, tier.depth)
            parameters = build.mlp_parameters(num_columns, num_codes, channels, hidden, tier.depth)
            flops = _mlp_row_flops(num_columns, num_codes, channels, hidden, tier.depth)
        models, rows = tier.seeds * len(arms_of(tier)), tier.steps * tier.batch_rows
        found.append(Budget(tier.name, models, parameters, rows * num_columns, 3.0 * flops * rows * models))
    return found


def row_flops(num_columns: int, num_codes: int, channels: int, depth: int, heads: int = 0) -> float:
    """Returns the operations of one row's forward pass through the resonance network."""
    cells = 4.0 * num_columns * num_codes * channels
    frequencies = dft.num_frequencies(num_columns)
    # There and back: as products up to the limit, beyond it 2.5 n log2 n for a real transform each way.
    if num_columns <= dft.MATRIX_LIMIT:
        transforms = 8.0 * frequencies * num_columns * channels
    else:
        transforms = 5.0 * num_columns * (num_columns.bit_length() - 1) * channels
    gate = 6.0 * frequencies * channels + (8.0 * frequencies * channels**2 / heads if heads else 0.0)
    block = transforms + gate + 4.0 * EXPANSION * num_columns * channels**2
    return cells + depth * block


def _mlp_row_flops(num_columns: int, num_codes: int, channels: int, hidden: int, depth: int) -> float:
    embedding = 2.0 * num_columns * num_codes * channels
    dense = num_columns * channels * hidden + 2 * depth * hidden**2 + hidden * num_columns * num_codes
    return embedding + 2.0 * dense

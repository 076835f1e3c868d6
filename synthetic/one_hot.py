"""Number columns and codes as one real matrix and back, for families that only know real vectors.

Numbers are standardised; each code column becomes one indicator per level, of its commonest levels and one for the
rest together, and is read back as the level with the largest coordinate.
"""

from dataclasses import dataclass

import numpy as np

from synthetic.columns import Matrices

__all__ = ["MOST_LEVELS", "OneHot"]

# Levels of one column that get an indicator of their own.
MOST_LEVELS = 20


@dataclass(frozen=True)
class OneHot:
    """A fitted map, see the module's head.

    Attributes:
      mean, scale: `[p]` of the number columns; the scale of a constant is 1.
      common: Per code column the levels with an indicator of their own, most frequent first.
      rest: Per code column the other levels that were seen, and how often each, `[2, r]`.
    """

    mean: np.ndarray
    scale: np.ndarray
    common: tuple[np.ndarray, ...]
    rest: tuple[np.ndarray, ...]

    @classmethod
    def fit(cls, matrices: Matrices, num_levels: tuple[int, ...]) -> "OneHot":
        """Returns the map fitted to `matrices`."""
        spread = matrices.numbers.std(axis=0)
        common, rest = [], []
        for j, k in enumerate(num_levels):
            counts = np.bincount(matrices.codes[:, j], minlength=k)
            order = np.argsort(-counts, kind="stable")
            order = order[counts[order] > 0]
            # A single level left over would be no rarer as "the rest".
            cut = MOST_LEVELS if len(order) > MOST_LEVELS + 1 else len(order)
            common.append(order[:cut])
            rest.append(np.stack([order[cut:], counts[order[cut:]]]))
        # A spread that is only rounding is no spread.
        scale = np.where(spread > 1e-12 * (1.0 + np.abs(matrices.numbers).max(axis=0, initial=0.0)), spread, 1.0)
        return cls(matrices.numbers.mean(axis=0), scale, tuple(common), tuple(rest))

    def encode(self, matrices: Matrices) -> np.ndarray:
        """Returns `[n, p + indicators]`."""
        blocks = [(matrices.numbers - self.mean) / self.scale]
        for j, (common, rest) in enumerate(zip(self.common, self.rest, strict=True)):
            codes = matrices.codes[:, j]
            blocks.append((codes[:, None] == common).astype(np.float64))
            if rest.shape[1]:
                blocks.append(np.isin(codes, rest[0])[:, None].astype(np.float64))
        return np.concatenate(blocks, axis=1)

    def decode(self, x: np.ndarray, rng: np.random.Generator) -> Matrices:
        """Returns the matrices nearest to `x`, `[n, p + indicators]`; `rng` draws among the levels of the rest."""
        start = len(self.mean)
        codes = np.zeros((len(x), len(self.common)), dtype=np.int64)
        for j, (common, rest) in enumerate(zip(self.common, self.rest, strict=True)):
            width = len(common) + (rest.shape[1] > 0)
            chosen = x[:, start : start + width].argmax(axis=1)
            start += width
            is_rest = chosen == len(common)
            codes[~is_rest, j] = common[chosen[~is_rest]]
            if is_rest.any():
                codes[is_rest, j] = rng.choice(rest[0], size=int(is_rest.sum()), p=rest[1] / rest[1].sum())
        return Matrices(x[:, : len(self.mean)] * self.scale + self.mean, codes)

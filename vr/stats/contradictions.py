"""How much rarer two of a row's cells are together than each would have them by chance: lift of pairs of codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vr.stats.conditionals import classes_of

__all__ = ["Contradictions", "fit_contradictions"]

_CLASSES = 8
_PRIOR = 0.5  # rows added to what is seen and to what is expected
_TELLING = np.log(3.0)  # a pair of columns none of whose cells is so much rarer than chance has nothing to say
_MOST_PAIRS = 256
_BLOCK_ROWS = 8_192  # looked up at once, within a core's cache
# One integer holds both: the bits of a float32, which rise with it where it is positive, and below them which pair.
_WHICH_BITS = 16
_WHICH = (1 << _WHICH_BITS) - 1


@dataclass(frozen=True)
class Contradictions:
    """Pairs of columns and how rare each of their cells is against chance.

    Attributes:
      pairs: int `[p, 2]`, positions of the columns.
      rarity: For each pair float32 `[C_a, C_b]`, log of expected over seen rows of two classes; positive where rarer
        than chance.
      classes: For each column int `[K]`, the class of each code.
    """

    pairs: np.ndarray
    rarity: tuple[np.ndarray, ...]
    classes: tuple[np.ndarray, ...]

    def read(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rarity of each row's rarest pair, float `[n]`, 0 where there is none, and which it is, int."""
        found, told = np.zeros(len(codes), np.int64), np.unique(self.pairs)
        for start in range(0, len(codes), _BLOCK_ROWS):
            rows, highest = codes[start : start + _BLOCK_ROWS], found[start : start + _BLOCK_ROWS]
            seen = {int(j): self.classes[j].take(rows[:, j], mode="clip") for j in told}
            for (a, b), keys in zip(self.pairs.tolist(), self._keys, strict=True):
                np.maximum(highest, keys.take(seen[a] * keys.shape[1] + seen[b]), out=highest)
        return (found >> _WHICH_BITS).astype(np.int32).view(np.float32), np.where(found > 0, ~found & _WHICH, 0)

    @cached_property
    def _keys(self) -> tuple[np.ndarray, ...]:
        """Of each pair's classes one number, the greater the rarer; of equally rare ones the first pair has it."""
        return tuple(
            np.where(rarity > 0.0, (rarity.view(np.int32).astype(np.int64) << _WHICH_BITS) | (_WHICH - i), 0)
            for i, rarity in enumerate(self.rarity)
        )


def fit_contradictions(
    codes: np.ndarray, ordinal: np.ndarray, num_codes: np.ndarray, parts: Sequence[Sequence[int]], columns: np.ndarray
) -> Contradictions:
    """Counts the pairs of real rows.

    Args:
      codes: Unsigned `[n, d]`.
      ordinal: bool `[d]`.
      num_codes: int `[d]`.
      parts: Positions that belong to one column of the file, which do not contradict each other.
      columns: Positions to pair.
    """
    own = {j: first for first, group in enumerate(parts) for j in group}
    classes = [classes_of(codes[:, j], int(k), bool(ordinal[j]), _CLASSES) for j, k in enumerate(num_codes)]
    coarse = np.column_stack([group[codes[:, j]] for j, group in enumerate(classes)])
    found = []
    for at, a in enumerate(columns):
        for b in columns[at + 1 :]:
            if own[int(a)] == own[int(b)]:
                continue
            shape = int(classes[a].max()) + 1, int(classes[b].max()) + 1
            seen = np.bincount(coarse[:, a] * shape[1] + coarse[:, b], minlength=shape[0] * shape[1]).reshape(shape)
            expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / len(codes)
            rarity = np.log((expected + _PRIOR) / (seen + _PRIOR))
            if rarity.max() >= _TELLING:
                found.append((float((expected * rarity)[rarity >= _TELLING].sum()), int(a), int(b), rarity))
    found.sort(key=lambda entry: (-entry[0], entry[1:3]))
    found = found[:_MOST_PAIRS]
    pairs = np.array([entry[1:3] for entry in found], np.int64).reshape(-1, 2)
    return Contradictions(pairs, tuple(entry[3].astype(np.float32) for entry in found), tuple(classes))

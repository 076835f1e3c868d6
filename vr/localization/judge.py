"""From evidence to a row's score, confidence and kind of defect.

The head's odds rank the rows, at the shares that kinds of defects have in this file, which are estimated from its
sample (Saerens, Latinne and Decaestecker 2002): where many rows are copies, what looks a little like one counts for
more than what looks a little like any other kind. A row's score is one minus the tail probability of its odds among
the reference's rows. Its confidence is the probability that goes with these odds; but no more than one minus the share
of rows with such odds that real data would show too (a tail false discovery rate, Efron and Tibshirani 2002).

An exact repeat is another matter: it is told by equality, and how many repeats are too many is known for the file
alone. Its score is how rare repeats are in the reference, or that of one in 10,000 where they are too many; its
confidence is the share of repeats that the reference's own rate does not explain, and it takes no part in the
confidence of other rows.
"""

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from scipy.special import expit, logit

from vr.localization.evidence import TailScale
from vr.localization.head import CLASSES, Head
from vr.localization.row_evidence import EVIDENCE, Evidence
from vr.stats.search import SortedKeys

__all__ = ["DEFECTS", "Judge", "Readings"]

DEFECTS = (
    "none",
    "over_represented",
    "outlier",
    "near_duplicate",
    "exact_duplicate",
    "out_of_range",
    "label_contradiction",
    "broken_dependence",
    "impossible_combination",
    "drifted_block",
    "generated_block",
)
_REPEAT = DEFECTS.index("exact_duplicate") - 1  # of the evidence's columns
_NOTABLE = 1.3  # evidence of one in twenty
_REPEATED = 4.0  # evidence of a repeat that the reference's rate does not explain, and the most of any
_LEAST_SHARE = 1e-4  # of wrong rows that a file is thought to have
_LEAST_OF_KIND = 1e-3  # of each kind, where rows are ranked: what a sample has nothing of may still be there
_PRIOR_ROWS = 200  # of the head's own shares, added to those of a sample: few rows tell little of seven kinds
# Rows of a block are read as a block: hundreds of them bear one file's one piece of evidence, and are not counted.
_COUNTED = np.array([not name.endswith("_block") for name in CLASSES])
_SHARED_ROWS = 5_000  # of a sample, evenly spaced, that shares are estimated from


@dataclass(frozen=True)
class Readings:
    """What was found of each row.

    Attributes:
      evidence: float64 `[n, len(DEFECTS) - 1]`, for each kind in `DEFECTS[1:]`: -log10 of how rare the row is among
        real rows over how likely it is of that kind; of an exact repeat the rarity alone.
      rarity: float64 `[n]`, -log10 tail probability of the head's odds.
      odds: float64 `[n]`, log-odds of any defect by the head.
      judged: What it was found from.
    """

    evidence: np.ndarray
    rarity: np.ndarray
    odds: np.ndarray
    judged: Evidence | None = None

    @cached_property
    def total(self) -> np.ndarray:
        """The evidence that rows are ranked by: for rarity or for being a repeat, whichever is stronger."""
        return np.maximum(self.rarity, self.evidence[:, _REPEAT])

    @cached_property
    def own(self) -> np.ndarray:
        """All that speaks against a row, its neighbours in the file aside; each reading up to one in a thousand."""
        if self.judged is None:
            return np.zeros(len(self.rarity))
        alone = [i for i, name in enumerate(EVIDENCE) if name not in ("stretch", "shifted")]
        # Reading by reading, so that a row's sum does not depend on how the rows lie in memory.
        return reduce(np.add, (np.minimum(self.judged.tails[:, i], 3.0) for i in alone))

    @cached_property
    def repeat(self) -> np.ndarray:
        """Rows that repeat an earlier one where that is rare among real rows, bool `[n]`."""
        return self.evidence[:, _REPEAT] > _NOTABLE

    @cached_property
    def score(self) -> np.ndarray:
        """0 for an ordinary row, towards 1 for one hardly ever seen among real rows."""
        return 1.0 - 10.0**-self.total

    @cached_property
    def defect(self) -> np.ndarray:
        """Index into `DEFECTS` of the likeliest; 0 where no evidence reaches one in twenty. Repeats come first."""
        result = np.zeros(len(self.evidence), np.int64)
        some = np.flatnonzero(self.evidence.max(axis=1, initial=0.0) > _NOTABLE)
        result[some] = self.evidence[some].argmax(axis=1) + 1
        result[self.repeat] = _REPEAT + 1
        return result

    def take(self, positions: np.ndarray) -> "Readings":
        """Returns those of the rows at `positions`."""
        judged = None if self.judged is None else self.judged.take(positions)
        return Readings(self.evidence[positions], self.rarity[positions], self.odds[positions], judged)

    def join(self, other: "Readings") -> "Readings":
        """Returns both, one after the other."""
        judged = None if self.judged is None or other.judged is None else self.judged.join(other.judged)
        evidence = np.concatenate([self.evidence, other.evidence])
        rarity, odds = np.concatenate([self.rarity, other.rarity]), np.concatenate([self.odds, other.odds])
        return Readings(evidence, rarity, odds, judged)


@dataclass(frozen=True)
class Judge:
    """The head, and what its odds are held against.

    Attributes:
      head: Weighs the evidence.
      scale: Tail scale of its odds among the reference's rows.
      shares: float `[len(CLASSES)]`, of rows of each kind that rows are ranked at.
      share: Of wrong rows in the file, repeats aside; of blocks as many as the head was fitted at.
      rarities: Of the candidate's sample, ascending.
      shown: For each of them the share of rows as rare that real data would not show, rising.
      duplicate_weight: Share of the candidate's repeats that the reference's own rate does not explain.
      duplicate_rate: Share of the reference's rows, at equal size, that repeat others; 1 where it is not known.
    """

    head: Head
    scale: TailScale
    shares: np.ndarray
    share: float
    rarities: np.ndarray
    shown: np.ndarray
    duplicate_weight: float
    duplicate_rate: float

    @classmethod
    def fit(
        cls,
        head: Head,
        null: np.ndarray,
        own: Evidence,
        repeated: np.ndarray,
        duplicate_weight: float,
        duplicate_rate: float = 1.0,
    ) -> "Judge":
        """Fits to the reference's evidence and the candidate's sample.

        Args:
          head: Weighs the evidence.
          null: Evidence of the reference's rows, `RowEvidence.null`.
          own: Evidence of the candidate's sample.
          repeated: bool, its rows that repeat an earlier row.
          duplicate_weight: 0 to 1, see the attribute.
          duplicate_rate: Likewise.
        """
        ordinary, found = head.log_odds(null), head.log_odds(own.tails)[~repeated]
        # What the reference seems to have of wrong rows is what the head sees in real ones.
        # Of as many rows of both, so that the rows of the prior fall out.
        rows = min(len(found), len(ordinary), _SHARED_ROWS)
        more = _shares(_some(found, rows), head.shares) - _shares(_some(ordinary, rows), head.shares)
        shares = np.where(_COUNTED, np.maximum(more, _LEAST_OF_KIND), head.shares)
        scale = TailScale.fit(_any(_at(ordinary, head.shares, shares)))
        rarities = np.sort(scale(_any(_at(found, head.shares, shares))))
        # Of blocks the prior: how many there are is not counted, and a file may have one.
        share = max(float(more.sum()), _LEAST_SHARE) + float(head.shares[~_COUNTED].sum())
        return cls(head, scale, shares, share, rarities, _excess(rarities), duplicate_weight, duplicate_rate)

    def read(self, evidence: Evidence, repeated: np.ndarray) -> Readings:
        """Returns the readings of rows, of which `repeated` (bool `[n]`) repeat an earlier one exactly."""
        by_class = np.ascontiguousarray(_at(self.head.log_odds(evidence.tails), self.head.shares, self.shares).T)
        odds = _any(by_class.T)
        rarity = self.scale(odds)
        kinds = np.zeros((len(evidence), len(DEFECTS) - 1), order="F")
        for name, likely in zip(CLASSES, by_class, strict=True):
            kinds[:, DEFECTS.index(name) - 1] = np.maximum(rarity + (likely - odds) / np.log(10.0), 0.0)
        outlier, beyond = DEFECTS.index("outlier") - 1, DEFECTS.index("out_of_range") - 1
        kinds[:, beyond] = np.where(evidence.outside, kinds[:, outlier], 0.0)
        kinds[evidence.outside, outlier] = 0.0
        # A combination that real rows have too, only less often, is of none of the kinds that are planted.
        ratio = evidence.tails[:, EVIDENCE.index("ratio")]
        kinds[:, DEFECTS.index("over_represented") - 1] = np.where(rarity > 0.0, np.minimum(ratio, rarity) - 0.5, 0.0)
        # Whether repeats are too many is known for the file, not for the row: all of them count alike. Where they are
        # not, a repeat is as rare as the reference's are.
        known = max(self.duplicate_rate, 1.0 / max(1, len(self.scale.null)))
        rare = _REPEATED if self.duplicate_weight > 0.0 else min(_REPEATED, -np.log10(known))
        kinds[:, _REPEAT] = np.where(repeated, rare, 0.0)
        return Readings(np.maximum(kinds, 0.0, out=kinds), rarity, odds, evidence)

    def confidence(self, readings: Readings) -> np.ndarray:
        """Returns how likely each row is wrong, 0 to 1."""
        probable = expit(readings.odds + logit(self.share) - logit(self.shares.sum()))
        keys, shown = self._shown
        place = keys.place(readings.rarity)
        shown = shown.take(place + keys.is_at(place, readings.rarity))
        return np.where(readings.repeat, self.duplicate_weight, np.minimum(probable, shown))

    @cached_property
    def _shown(self) -> tuple[SortedKeys, np.ndarray]:
        """The distinct rarities, and `shown` by how many of them are no greater."""
        distinct, first = np.unique(self.rarities, return_index=True)
        return SortedKeys(distinct), np.append(0.0, self.shown[first])


def _any(by_class: np.ndarray) -> np.ndarray:
    """Returns the log-odds of any kind, `[n]`, of those of each, `[n, k]`."""
    # Class by class, so that a row's sum does not depend on how many rows there are.
    return np.logaddexp.reduce(np.ascontiguousarray(by_class.T), axis=0)


def _excess(rarities: np.ndarray) -> np.ndarray:
    """Returns for each of the ascending rarities the share of rows so rare or rarer that real data would not show."""
    above = len(rarities) - np.searchsorted(rarities, rarities, side="left")
    # As few rows as two deviations allow: a handful of extreme rows in a healthy file is no excess.
    observed = np.maximum(above - 2.0 * np.sqrt(above), 1e-9) / max(1, len(rarities))
    # Rarer is no less suspicious, however few rows are rarer still.
    return np.maximum.accumulate(np.clip(1.0 - 10.0**-rarities / observed, 0.0, 1.0))


def _at(by_class: np.ndarray, before: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns log-odds of each kind against none at other `shares` than the ones they were fitted at, `before`."""
    return by_class + np.log(shares / (1.0 - shares.sum())) - np.log(before / (1.0 - before.sum()))


def _some(by_class: np.ndarray, rows: int) -> np.ndarray:
    """Returns so many of the rows, evenly spaced."""
    return by_class[np.arange(rows) * len(by_class) // max(1, rows)]


def _shares(by_class: np.ndarray, before: np.ndarray, counted: np.ndarray = _COUNTED) -> np.ndarray:
    """Returns the likeliest share of each kind, by expectation maximisation, as if 200 rows more had those `before`.

    Args:
      by_class: Log-odds of each kind against none, `[n, k]`.
      before: The shares that they hold at.
      counted: bool `[k]`, kinds whose shares are estimated; the others keep theirs.
    """
    rows = len(by_class)
    if not rows:
        return before
    likelier = np.exp(np.clip(by_class - np.log(before / (1.0 - before.sum())), -50.0, 50.0))
    shares = before
    for _ in range(500):
        last = shares
        seen = shares * (likelier / (likelier @ shares + 1.0 - shares.sum())[:, None]).sum(axis=0)
        shares = np.where(counted, (seen + _PRIOR_ROWS * before) / (rows + _PRIOR_ROWS), before)
        if np.abs(shares - last).max() < 1e-6:
            break
    return shares

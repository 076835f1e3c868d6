"""What the verdict would be of a changed candidate, measured on its sample without a second run.

What the head reads of the candidate is measured again on a few of the splits, in pairs with what was measured before;
the reference's part of every number, its null among it, stays. What trained proxies said is held as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS, load_calibration, metrics_of
from vr.detector.dimensions.generalization_gap import skill_test
from vr.detector.harm import harm_model_of
from vr.detector.inputs import Inputs, Side, Split
from vr.detector.metric import Feature

__all__ = ["Changed", "Filled", "Remeasured", "remeasure"]

_ENOUGH = 0.5  # of the rows that were measured before


@dataclass(frozen=True)
class Filled:
    """Real rows of one region in the mix.

    Attributes:
      share: Of the mix.
      rows: int64, the numbers of the reference's rows that lie in the region.
    """

    share: float
    rows: np.ndarray


@dataclass(frozen=True)
class Changed:
    """A candidate's sample with an action done to it.

    Attributes:
      side: The sample, rows in file order, its cells changed or not, no row taken out.
      kept: bool `[n]`, which of its rows are left.
      real_share: Of real rows that the candidate has not had, in the mix of all added rows and the rows left; 0 to 1.
      filled: Real rows of some regions alone that are in the mix beside these.
    """

    side: Side
    kept: np.ndarray
    real_share: float = 0.0
    filled: tuple[Filled, ...] = ()

    @property
    def added_share(self) -> float:
        """Share of the mix that is real rows, whichever they are."""
        return self.real_share + sum(each.share for each in self.filled)


@dataclass(frozen=True)
class Remeasured:
    """Features of the changed candidate.

    Attributes:
      features: All of them, those that the head reads as measured again; None where that was not possible.
      held: What the head reads that was held as it was; not what is expected harm's alone.
      reason: Why it was not possible.
      region_rows: Share of the regions' rows in the mix that the split's reference rows have, 0 to 1: the mix has as
        many more of the candidate's in the place of the others.
    """

    features: Mapping[str, Feature] | None
    held: tuple[str, ...] = ()
    reason: str | None = None
    region_rows: float = 1.0


def remeasure(
    inputs: Inputs,
    features: Mapping[str, Feature],
    situation: str,
    changed: Changed,
    num_splits: int,
    first: int = 0,
) -> Remeasured:
    """Measures again what the head of `situation` and the model of expected harm read.

    Args:
      inputs: With which `features` were measured: what is kept of the reference is used again.
      features: By qualified name.
      situation: Which head, one that reads a reference.
      changed: The candidate with an action done.
      num_splits: Splits to measure on.
      first: Which is the first of them; forests learn from rows drawn anew for each.
    """
    if not inputs.splits:
        return Remeasured(None, reason=inputs.splits_reason or "needs a reference")
    splits = inputs.splits[first : first + num_splits]
    found = min(_region_rows(split, changed)[1] for split in splits)
    if found < _ENOUGH:
        return Remeasured(None, reason="the reference has too few rows of the regions to play those that are added")
    sides = [_side(split, changed) for split in splits]
    if any(side is None for side in sides):
        return Remeasured(None, reason="fewer rows would be left than are compared with the reference")
    whole = [side for side in sides if side is not None]
    read = metrics_of(load_calibration().heads[situation].head.names)
    result, held = dict(features), []
    for name in dict.fromkeys([*read, *metrics_of(harm_model_of(features).variables)]):
        before = features.get(name)
        if before is None or before.value is None:
            continue
        if name in (SKILL_LOST, SKILL_LOST_TARGETS):
            change = _change_of_skill(inputs, before.value, changed, first)
            if change is None:
                return Remeasured(None, reason="fewer rows would be left than forests learn from")
        else:
            change = inputs.change_of(name.partition(".")[2], whole, first)
        if change is None:
            held += [name] if name in read else []
        else:
            result[name] = replace(before, value=before.value + change)
    return Remeasured(result, tuple(held), region_rows=found)


def _side(split: Split, changed: Changed) -> Side | None:
    """Returns as many rows as the split's candidate has: those of its rows that are left, and others for the rest.

    Of a candidate that the split takes whole there are no others, and it has fewer.
    """
    size = len(split.candidate)
    num_real = round(changed.real_share * size)
    fresh = np.concatenate([np.arange(num_real), _region_rows(split, changed)[0]])
    own = np.searchsorted(changed.side.rows, split.candidate.rows)
    others = np.ones(len(changed.side), bool)
    others[own] = False
    rest = np.random.default_rng(size).permutation(np.flatnonzero(others & changed.kept))
    left = np.concatenate([own[changed.kept[own]], rest])
    if len(left) < _ENOUGH * (size - len(fresh)):
        return None
    made = changed.side.take(left[: size - len(fresh)])
    return _joined(made, split.fresh.take(fresh)) if len(fresh) else made


def _region_rows(split: Split, changed: Changed) -> tuple[np.ndarray, float]:
    """Returns the places among the split's fresh rows of those that play the regions', and their share of the wanted.

    They lie behind the fresh rows that play real rows of all kinds.
    """
    size = len(split.candidate)
    num_real, wanted, places = round(changed.real_share * size), 0, [np.empty(0, np.int64)]
    for each in changed.filled:
        inside = num_real + np.flatnonzero(np.isin(split.fresh.rows[num_real:], each.rows))
        number = round(each.share * size)
        places.append(inside[:number])
        wanted += number
    found = np.concatenate(places)
    return found, len(found) / wanted if wanted else 1.0


def _joined(a: Side, b: Side) -> Side:
    def both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.concatenate([x, y])

    return Side(both(a.codes, b.codes), both(a.values, b.values), both(a.features, b.features), both(a.rows, b.rows))


def _change_of_skill(inputs: Inputs, before: float, changed: Changed, draw: int) -> float | None:
    """Returns by how much the share of skill lost moves, by one draw of rows; None of too few of them."""
    test = skill_test(inputs)
    if test is None:
        return None
    codes = changed.side.codes[changed.kept][:, inputs.pair_columns]
    if added := changed.added_share:
        # Judged by folds, whose share lost is not quite that of `lost`. Their difference falls out as far as the
        # candidate makes the mix, so that no real rows change nothing, and real rows alone lose nothing.
        assert inputs.reference is not None
        numbers = inputs.reference.rows[test.rows]
        some = [(each.share, np.isin(numbers, each.rows)) for each in changed.filled]
        mixed = test.lost_in_mix(codes, changed.real_share, inputs.threads, draw, some)
        unmixed = inputs.observed.setdefault("skill_unmixed", [])
        known = [each["lost"] for each in unmixed if each["draw"] == draw]
        if not known:
            known = [test.lost_in_mix(inputs.candidate.codes[:, inputs.pair_columns], 0.0, inputs.threads, draw)]
            unmixed.append({"draw": draw, "lost": known[0]})
        return mixed - before + (1.0 - added) * (before - known[0])
    if len(codes) < _ENOUGH * test.train_rows:
        return None
    observed, whole = inputs.observed["skill"], inputs.candidate.codes[:, inputs.pair_columns]
    if len(codes) < test.train_rows:
        # Fewer rows teach less, whichever they are: as many of the unchanged candidate.
        some = np.random.default_rng([inputs.seed, 18, *([draw] if draw else [])]).permutation(len(whole))[: len(codes)]
        as_it_was = test.lost(whole[some], inputs.threads, num_draws=1, first=draw).share
    elif draw < len(observed):
        as_it_was = observed[draw]["lost"]
    else:
        as_it_was = test.lost(whole, inputs.threads, num_draws=1, first=draw).share
    return test.lost(codes, inputs.threads, num_draws=1, first=draw).share - as_it_was

"""Actions done to the candidate's sample, as `vr fix` does them to its file."""

from collections.abc import Sequence

import numpy as np

from vr.data.codec import Coded
from vr.data.encoders import NumericEncoder, TextEncoder
from vr.data.hashing import mix
from vr.detector.inputs import Side
from vr.detector.remeasure import Changed, Filled
from vr.localization.localize import Sampled
from vr.localization.missing import MissingRegion, find_strata
from vr.pipeline.intake import Intake
from vr.recommendation.regions import Gap, Part, Region, condition_of, region_of, rows_to_add, weights_of
from vr.recommendation.units import repaired
from vr.recommendation.vocabulary import (
    MOST_FILLED,
    AddRealRows,
    Clip,
    Deduplicate,
    DropRows,
    Executable,
    FillRegions,
    Repair,
    Reweight,
    in_ranges,
)

__all__ = ["gaps_of", "preview", "strata_of", "with_cells"]


def preview(
    actions: Sequence[Executable], intake: Intake, sampled: Sampled, num_repeated: int, seed: int
) -> Changed | None:
    """Returns the sample with actions done to it; None if they do nothing.

    Args:
      actions: What to do at once.
      intake: Both datasets.
      sampled: What scoring found of the sample's rows.
      num_repeated: Rows of the whole candidate that repeat an earlier row.
      seed: Of the run.
    """
    side, kept, real, does = intake.candidate, np.ones(len(intake.candidate), bool), 0, False
    mended, thinned = np.zeros(len(side), bool), np.ones(len(side), bool)
    for action in actions:
        if isinstance(action, (Clip, Repair)):
            before, side, does = side, with_cells(action, side, intake), True
            if isinstance(action, Repair):
                mended |= (np.nan_to_num(before.values) != np.nan_to_num(side.values)).any(axis=1)
    filled: list[tuple[int, np.ndarray]] = []
    for action in actions:
        if isinstance(action, Deduplicate) and not action.beside:
            # Which repeats go is told by the hash of the row's number: the same share of them in the sample.
            share = 1.0 - action.keep_repeats / max(1, num_repeated)
            hashes = mix(side.rows.view(np.uint64) ^ mix(np.full(1, seed, np.uint64)))
            kept &= ~(sampled.repeated & (hashes < share * 2.0**64))
        elif isinstance(action, DropRows):
            gone = in_ranges(side.rows, action.ranges)
            if action.min_confidence is not None:
                # Of the confidence that `recommend` asks for; what is repaired is not what was scored.
                gone |= sampled.suspicious & ~mended
            kept &= ~gone
        elif isinstance(action, AddRealRows):
            real += action.rows
        elif not isinstance(action, (FillRegions, Reweight)):
            continue
        does = True
    # By the rows that stay, whatever the order of the actions.
    for action in actions:
        if isinstance(action, FillRegions):
            wanted = _wanted(action.regions, intake, kept)
            filled += zip(wanted.tolist(), _reference_rows(action.regions, intake), strict=True)
        elif isinstance(action, Reweight):
            thinned &= _thinned(action, intake, kept, seed)
    if not does:
        return None
    left = intake.candidate_profile.rows * float(kept.mean())
    # Where nothing is left and nothing comes, no share is of anything.
    whole = max(1.0, left + real + sum(rows for rows, _ in filled))
    return Changed(
        side, kept & thinned, real / whole, tuple(Filled(rows / whole, where) for rows, where in filled if rows)
    )


def with_cells(action: Clip | Repair, side: Side, intake: Intake) -> Side:
    """Returns a sample of the candidate with a column's numbers changed as the action says."""
    codes, values = side.codes.copy(), side.values.copy()
    for j, encoder in enumerate(intake.codec.encoders):
        if encoder.source == action.column and isinstance(encoder, NumericEncoder):
            if isinstance(action, Clip):
                values[:, j] = np.clip(values[:, j], action.lower, action.upper)
            else:
                values[:, j] = repaired(action, values[:, j], side.rows)
            codes[:, j] = encoder.encode_floats(values[:, j])
    return Side.of(Coded(codes, values), intake.embedding, side.rows)


def gaps_of(missing: Sequence[MissingRegion], intake: Intake) -> list[Gap]:
    """Returns the missing regions that rows of any file can be asked for, and how many real rows each takes.

    The largest gaps first, as many as take no more real rows together than the candidate has rows: what takes more is
    no gap in a dataset but another dataset.
    """
    found, taken = [], np.empty(0, int)
    for each in missing:
        conditions = [condition_of(intake.codec.encoders[j], first, last) for j, (first, last) in each.codes.items()]
        told = tuple(condition for condition in conditions if condition is not None)
        regions = [*(region for _, region in found), Region(told, round(each.reference_share, 6))]
        if len(told) < len(conditions) or sum(region.share for region in regions) > MOST_FILLED:
            continue
        wanted = _wanted(regions, intake, np.ones(len(intake.candidate), bool))
        if wanted[-1] and wanted.sum() <= intake.candidate_profile.rows:
            found.append((each, regions[-1]))
            taken = wanted
    return [
        Gap(each.conditions, region, each.candidate_share, int(rows))
        for (each, region), rows in zip(found, taken, strict=True)
    ]


def strata_of(intake: Intake, sampled: Sampled, duplicate_excess: float | None, seed: int) -> list[Part]:
    """Returns parts that rows of any file can be asked for and that the candidate has in other shares.

    Rows that are suspicious do not count, nor do repeats beyond the reference's own rate: these go and are not weighed.

    Args:
      intake: Both datasets.
      sampled: What scoring found of the sample's rows.
      duplicate_excess: Share of the repeats that the reference's own rate does not explain.
      seed: Of the run.
    """
    if intake.reference is None:
        return []
    encoders = intake.codec.encoders
    able = np.array([j for j, encoder in enumerate(encoders) if not isinstance(encoder, TextEncoder)], int)
    found = []
    sound = ~sampled.suspicious if not duplicate_excess else ~(sampled.suspicious | sampled.repeated)
    candidate = intake.candidate.take(np.flatnonzero(sound))
    for each in find_strata(candidate, intake.reference, intake.columns, seed, able):
        conditions = [condition_of(encoders[j], first, last) for j, (first, last) in each.codes.items()]
        told = tuple(condition for condition in conditions if condition is not None)
        if told and 0.0 < each.reference_share < 1.0:
            found.append(Part(each.conditions, Region(told, round(each.reference_share, 6)), each.candidate_share))
    return found


def _thinned(action: Reweight, intake: Intake, kept: np.ndarray, seed: int) -> np.ndarray:
    """Returns the rows that are left, bool `[n]`, where each is as likely to stay as it weighs: no row stands twice.

    Weights are of the rows in `kept`.
    """
    place = region_of(intake.candidate_profile.sample.table, action.strata)
    counts = np.bincount(place[kept & (place >= 0)], minlength=len(action.strata))
    shares = np.array([region.share for region in action.strata])
    weights = np.array([*weights_of(counts, shares, action.most), 1.0])[place]
    return np.random.default_rng([seed, 19]).random(len(place)) < weights / weights.max()


def _wanted(regions: Sequence[Region], intake: Intake, kept: np.ndarray) -> np.ndarray:
    """Returns the real rows that each region takes, int `[k]`, by the rows of the candidate's sample that stay."""
    profile = intake.candidate_profile
    place = region_of(profile.sample.table, regions)
    each = profile.rows / len(place)
    counts = np.bincount(place[kept & (place >= 0)], minlength=len(regions)) * each
    return rows_to_add(counts, round(kept.sum() * each), np.array([region.share for region in regions]))


def _reference_rows(regions: Sequence[Region], intake: Intake) -> list[np.ndarray]:
    """Returns the numbers of the sampled reference rows that lie in each region."""
    assert intake.reference_profile is not None
    sample = intake.reference_profile.sample
    place = region_of(sample.table, regions)
    return [sample.rows[place == i] for i in range(len(regions))]

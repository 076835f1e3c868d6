"""What stands out in a dataset's variety, in words, each with what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vr.detector.metric import Feature, MetricSpec
from vr.diversity.clusters import Cluster, Clusters
from vr.diversity.entities import EntityRepeats
from vr.diversity.measure import Diversity
from vr.diversity.outliers import SPEC as OUTLIERS
from vr.diversity.rare import RarePattern
from vr.diversity.texts import METRICS as TEXTS
from vr.diversity.variety import METRICS

__all__ = ["Finding", "findings", "of_entities"]

_FAR = 4.0  # deviations from the null, the level from which the page calls a number outside of it
_SHIFT = 0.2  # share of a cluster's rows that it has to gain or lose
_DENSER = 1.5  # times as dense as real
_NEARLY_ALL = 0.99  # share of one value from which a column of a dataset described alone is called nearly constant
_SOME = 0.005  # share of repeats from which they are worth a word
_OF_EACH = 3  # findings of one kind


@dataclass(frozen=True)
class Finding:
    """One thing that stands out; `rows` and `reference_rows` are examples, by number."""

    kind: str
    text: str
    advice: str
    rows: list[int] = field(default_factory=list)
    reference_rows: list[int] = field(default_factory=list)


def findings(found: Diversity, num_rows: int, exact_duplicates: float, *, with_reference: bool) -> list[Finding]:
    """Returns what stands out, clusters first, then combinations, columns, repeats and outliers.

    Args:
      found: What was measured.
      num_rows: Of the whole candidate: advice counts rows of the file.
      exact_duplicates: Share of the file's rows that repeat an earlier one.
      with_reference: Whether there was anything to compare with.
    """
    result: list[Finding] = []
    if not isinstance(found.clusters, str):
        result += _of_clusters(found.clusters, num_rows)
    result += _of_rare(found.rare)
    result += _of_columns(found, with_reference)
    result += _of_repeats(found, exact_duplicates, with_reference)
    result += _of_texts(found)
    result += _of_outliers(found, with_reference)
    return result


def _of_clusters(clusters: Clusters, num_rows: int) -> Iterator[Finding]:
    moved = [c for c in clusters.clusters if c.z is not None and abs(c.z) > _FAR and _has_moved(c)]
    for cluster in sorted(moved, key=lambda c: -abs(c.share - (c.reference_share or 0.0)))[:_OF_EACH]:
        real = cluster.reference_share or 0.0
        rows = max(1, round(abs(real - cluster.share) * num_rows))
        text = f"{_percent(cluster.share)} of the rows lie in a cluster that holds {_percent(real)} of real rows"
        if cluster.share < real:
            # x more rows make the share right in what is then a longer file.
            rows = max(rows, round((real - cluster.share) / (1.0 - real) * num_rows))
            yield Finding(
                "cluster_thinned" if cluster.share > 0 else "cluster_lost",
                text + _where(cluster),
                f"add about {rows:,} rows like the reference's examples, or give the generator more of them to learn "
                "from",
                cluster.rows,
                cluster.reference_rows,
            )
        else:
            yield Finding(
                "cluster_swollen",
                text + _where(cluster),
                f"leave out about {rows:,} of its rows, or weigh them down: at random, unless the row scores blame "
                "some of them",
                cluster.rows,
                cluster.reference_rows,
            )
    for cluster in clusters.clusters:
        z = cluster.density_z
        if z is None or not cluster.density or not cluster.reference_density:
            continue
        if z > _FAR and cluster.density > _DENSER * cluster.reference_density:
            yield Finding(
                "cluster_dense",
                f"rows of a cluster lie {cluster.density / cluster.reference_density:.1f} times as close together as "
                f"real rows there{_where(cluster)}",
                "the generator varies these rows too little: replace a part of them by real rows",
                cluster.rows,
                cluster.reference_rows,
            )


def _has_moved(cluster: Cluster) -> bool:
    real = cluster.reference_share or 0.0
    return abs(cluster.share - real) > _SHIFT * max(real, 1e-9)


def _where(cluster: Cluster) -> str:
    return f": {' and '.join(cluster.conditions)}" if cluster.conditions else ""


def _of_rare(rare: list[RarePattern]) -> Iterator[Finding]:
    lost, new, odd = ([pattern for pattern in rare if pattern.kind == kind] for kind in ("lost", "new", "odd"))
    for pattern in lost[:_OF_EACH]:
        # What a comparison cannot tell from chance is not in the list.
        yield Finding(
            "pattern_lost",
            f"there is no row with {_both(pattern)}; {pattern.reference_count:,} of the reference's rows have that "
            f"(expected here: about {_rows(pattern.expected)})",
            "add rows with these values; the reference's rows named here are examples",
            [],
            pattern.rows,
        )
    for pattern in new[:_OF_EACH]:
        yield Finding(
            "pattern_new",
            f"there {'is 1 row' if pattern.count == 1 else f'are {pattern.count:,} rows'} with {_both(pattern)}, which "
            "no reference row has",
            "check whether it can be; where it cannot, drop or repair the rows with it",
            pattern.rows,
        )
    for pattern in odd[:_OF_EACH]:
        yield Finding(
            "pattern_odd",
            f"there {'is 1 row' if pattern.count == 1 else f'are {pattern.count:,} rows'} with {_both(pattern)}, where "
            f"the two values' own frequencies would give {_rows(pattern.expected)}",
            "look at these rows: a slip in them, or rare cases that a generator will lose first",
            pattern.rows,
        )


def _both(pattern: RarePattern) -> str:
    return " and ".join(f'"{words}"' for words in pattern.conditions)


def _of_columns(found: Diversity, with_reference: bool) -> Iterator[Finding]:
    if not with_reference:
        for column in [c for c in found.columns if c.top_share > _NEARLY_ALL][:_OF_EACH]:
            yield Finding(
                "column_nearly_constant",
                f"column {column.name} is {column.top} in {_percent(column.top_share)} of the rows",
                "a model learns nothing from it: leave it out, or get rows with other values",
            )
        return
    for column in found.columns[:_OF_EACH]:
        if (column.entropy_z or 0.0) <= _FAR:
            break
        assert column.entropy.value is not None
        assert column.entropy.null_mean is not None
        here, there = np.exp(column.entropy.value), np.exp(column.entropy.null_mean)
        real = column.reference_top_share or 0.0
        most = f"; {column.top} alone holds {_percent(column.top_share)} of the rows, in real ones {_percent(real)}"
        yield Finding(
            "column_narrowed",
            f"column {column.name} is as varied as {here:.1f} equally common values, real rows as {there:.1f}"
            + (most if column.top_share > real else ""),
            "raise the share of real rows, or let the generator draw this column from all it has learnt (temperature)",
        )


def _of_repeats(found: Diversity, exact: float, with_reference: bool) -> Iterator[Finding]:
    near, copies = (found.variety.features[name] for name in ("near_duplicates", "near_copies"))
    if not with_reference:
        if exact > _SOME:
            yield Finding(
                "duplicates",
                f"{_percent(exact)} of the rows repeat an earlier row exactly",
                "where rows should be different cases, keep one of each",
            )
        return
    pairs = [pair for pair in found.near_pairs if pair.columns]
    rows = [row for pair in pairs[:3] for row in (pair.row, pair.other_row)]
    if _beyond(near, METRICS["near_duplicates"]):
        example = f" (rows {pairs[0].row:,} and {pairs[0].other_row:,}: only {pairs[0].columns[0]})" if pairs else ""
        yield Finding(
            "near_duplicates",
            f"{_percent(near.value)} of the rows differ from another one in a tenth of the columns at most{example}; "
            f"of as many real rows {_percent(near.null_mean)}",
            "keep one row of each such group: the others add next to nothing",
            rows,
        )
    if _beyond(copies, METRICS["near_copies"]):
        yield Finding(
            "near_copies",
            f"{_percent(copies.value)} of the rows nearly repeat a row of the reference; of fresh real rows "
            f"{_percent(copies.null_mean)}",
            "the generator has learnt rows by heart: they are no new evidence, and may give persons away",
        )


def of_entities(repeats: Sequence[EntityRepeats]) -> list[Finding]:
    """Returns what is to be said of identifiers that repeat."""
    return [
        Finding(
            "entity_repeats",
            f"{_percent(each.share)} of the rows have a value in {each.name} that an earlier row has, though it looks "
            "like an identifier",
            "where a row should be one case, keep one of each; where cases have several rows, keep those of a case in "
            "one part when splitting the data",
            each.rows,
        )
        for each in repeats
        if each.share is not None and each.share > _SOME
    ]


def _of_texts(found: Diversity) -> Iterator[Finding]:
    for name, features in found.texts.items():
        if _beyond(features["near_repeats"], TEXTS["near_repeats"]):
            share, null = features["near_repeats"].value, features["near_repeats"].null_mean
            yield Finding(
                "text_repeats",
                f"{_percent(share)} of the texts in {name} say nearly what another one says; of as many real ones "
                f"{_percent(null)}",
                "keep one of each such group, or have the generator write from more varied prompts",
            )
        if _beyond(features["near_copies"], TEXTS["near_copies"]):
            share, null = features["near_copies"].value, features["near_copies"].null_mean
            yield Finding(
                "text_copies",
                f"{_percent(share)} of the texts in {name} nearly repeat one of the reference's; of fresh real ones "
                f"{_percent(null)}",
                "the generator has learnt texts by heart: they are no new evidence, and may give persons away",
            )


def _of_outliers(found: Diversity, with_reference: bool) -> Iterator[Finding]:
    share = found.outliers.share
    if not with_reference or share.value is None or share.null_mean is None or share.null_std is None:
        return
    z = (share.value - share.null_mean) / float(np.hypot(share.null_std, OUTLIERS.floor))
    # Of so few rows half is much, though it is little of all rows: without the floor.
    if share.value < 0.5 * share.null_mean and share.null_mean - share.value > 3.0 * share.null_std:
        yield Finding(
            "tails_lost",
            f"{_percent(share.value)} of the rows lie as far out as {_percent(share.null_mean)} of real rows do: the "
            "rare cases at the edges are gone",
            "keep real rows for them, the outermost ones first: no generator gives back what it never drew",
        )
    if z > _FAR:
        yield Finding(
            "outliers",
            f"{_percent(share.value)} of the rows lie farther from the reference than all but "
            f"{_percent(share.null_mean)} of real rows do",
            "check the rows named here; drop what cannot be",
            found.outliers.rows,
        )


def _beyond(feature: Feature, spec: MetricSpec) -> bool:
    if feature.value is None or feature.null_mean is None or feature.null_std is None:
        return False
    return feature.value - feature.null_mean > _FAR * float(np.hypot(feature.null_std, spec.floor))


def _rows(number: float | None) -> str:
    return "unknown" if number is None else f"{max(1, round(number)):,}"


def _percent(share: float | None) -> str:
    if share is None:
        return "unknown"
    if 0.0 < share < 0.001:
        return "under 0.1 %"
    return f"{100.0 * share:.1f} %"

"""The report's section on diversity: what was measured, as the report holds it."""

from collections.abc import Mapping
from dataclasses import replace

from vr.data.source import Source
from vr.detector.dimensions.base import Measurement
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.diversity.clusters import Clusters
from vr.diversity.columns import ColumnVariety
from vr.diversity.entities import EntityRepeats, entity_repeats
from vr.diversity.findings import findings, of_entities
from vr.diversity.measure import Diversity, measure
from vr.diversity.outliers import SPEC as OUTLIERS
from vr.diversity.rare import RarePattern
from vr.diversity.texts import METRICS as TEXTS
from vr.diversity.variety import METRICS
from vr.pipeline import assemble
from vr.pipeline.intake import Intake
from vr.pipeline.report import (
    Cluster,
    ColumnDiversity,
    DiversityFinding,
    DiversitySection,
    Interval,
    Metric,
    NearDuplicate,
    OwnMetric,
)
from vr.pipeline.report import RarePattern as ReportedPattern
from vr.stats.patterns import MissingMass, missing_mass

__all__ = ["diversity_section"]

_LEVEL = 0.95  # of the intervals
_COVERED = 0.5  # share of a cluster's rows from which it counts as covered


def diversity_section(
    candidate: Source,
    intake: Intake,
    inputs: Inputs,
    entropy: Measurement,
    alone: Mapping[str, Feature] | None = None,
    *,
    batch_rows: int = 65_536,
) -> DiversitySection:
    """Returns the candidate's diversity, by itself and beside the reference's.

    Args:
      candidate: Read once more where it has columns of identifiers, which nothing else reads.
      intake: Both datasets as they were taken in.
      inputs: Both samples.
      entropy: What entropy_stability measured.
      alone: The reference-free metrics by qualified name, where there is no reference.
      batch_rows: Rows read at a time.

    Raises:
      DataError: where the candidate cannot be read.
    """
    known, found = assemble.diversity_section(inputs, entropy, alone), measure(inputs, intake.texts)
    profile = inputs.candidate_profile
    told = findings(found, profile.rows, profile.duplicate_fraction, with_reference=bool(inputs.splits))
    entities = _entities(candidate, intake.identifiers, batch_rows)
    told += of_entities(entities)
    return known.model_copy(
        update={
            "metrics": known.metrics
            | _joint(found)
            | _clusters(found.clusters)
            | _outliers(found)
            | _texts(found)
            | _repeated(entities),
            "intervals": _intervals(inputs, found),
            "findings": [
                DiversityFinding(
                    kind=each.kind,
                    text=each.text,
                    advice=each.advice,
                    rows=each.rows,
                    reference_rows=each.reference_rows,
                )
                for each in told
            ],
            "columns": [_column(column) for column in found.columns],
            "clusters": _cluster_sections(found.clusters),
            "rare_patterns": [_pattern(pattern) for pattern in found.rare],
            "near_duplicates": [
                NearDuplicate(row=pair.row, other_row=pair.other_row, columns=pair.columns) for pair in found.near_pairs
            ],
            "outlier_rows": found.outliers.rows,
        }
    )


def _joint(found: Diversity) -> dict[str, Metric]:
    result: dict[str, Metric] = {}
    for name, spec in METRICS.items():
        metric = assemble.metric(found.variety.features[name], spec)
        # Near copies are of the candidate and the reference together; all others each dataset has by itself.
        own = name != "near_copies"
        result[name] = OwnMetric(**metric.model_dump(), reference=metric.null_mean) if own else metric
    return result


def _clusters(clusters: Clusters | str) -> dict[str, Metric]:
    label = "Clusters"
    if isinstance(clusters, str):
        return {name: Metric(value=None, label=label, reason=clusters) for name in ("clusters", "outside_clusters")}
    total = len(clusters.clusters)
    if clusters.reference_outside is None:
        reason = "no null: of the dataset alone"
        covered = OwnMetric(
            value=total, reference=None, label=label, description="HDBSCAN, of a sample.", reason=reason
        )
        outside = Feature(clusters.outside, reason=reason)
    else:
        held = sum(c.share >= _COVERED * (c.reference_share or 0.0) for c in clusters.clusters)
        covered = OwnMetric(
            value=held,
            reference=total,
            label="Clusters covered",
            description="Clusters of the reference (HDBSCAN) that hold at least half of their share of the rows.",
            reason="no null: a count beside all of the reference's clusters",
        )
        outside = Feature(clusters.outside, 0.0, clusters.reference_outside, clusters.outside_deviation)
    spec = MetricSpec(
        "Rows in no cluster",
        "Share of rows whose nearest row in the clustered sample lies in no cluster.",
        0.02,
        two_sided=True,
    )
    return {"clusters": covered, "outside_clusters": assemble.metric(outside, spec)}


def _outliers(found: Diversity) -> dict[str, Metric]:
    return {"outliers": assemble.metric(found.outliers.share, OUTLIERS)}


def _entities(candidate: Source, names: list[str], batch_rows: int) -> list[EntityRepeats]:
    return entity_repeats(candidate.batches(names, batch_rows), names) if names else []


def _repeated(entities: list[EntityRepeats]) -> dict[str, Metric]:
    return {
        f"entity_repeats.{each.name}": Metric(
            value=each.share,
            label=f"{each.name}: repeated entities",
            description=f"Share of the rows with an identifier that an earlier row has, of {each.num_rows:,} rows.",
            reason="no row has an identifier" if each.share is None else "no null: in the reference hardly any repeats",
        )
        for each in entities
    }


def _texts(found: Diversity) -> dict[str, Metric]:
    return {
        f"text_{metric}.{name}": assemble.metric(
            feature, replace(TEXTS[metric], label=f"{name}: {TEXTS[metric].label}")
        )
        for name, features in found.texts.items()
        for metric, feature in features.items()
    }


def _intervals(inputs: Inputs, found: Diversity) -> dict[str, Interval]:
    counts = inputs.candidate_profile.row_sketch.counts
    of_rows = missing_mass(int((counts == 1).sum()), int(counts.sum()), int((counts == 2).sum()))
    return {"missing_mass": _interval(of_rows), "pattern_missing_mass": _interval(found.variety.missing_mass)}


def _interval(found: MissingMass) -> Interval:
    value, lower, upper = (None if x != x else float(x) for x in found)
    return Interval(value=value, lower=lower, upper=upper, level=_LEVEL, reason="no rows" if value is None else None)


def _column(column: ColumnVariety) -> ColumnDiversity:
    entropy, gini = column.entropy, column.gini
    return ColumnDiversity(
        name=column.name,
        entropy=entropy.value,
        entropy_null=entropy.null_mean,
        entropy_null_std=entropy.null_std,
        gini=gini.value,
        gini_null=gini.null_mean,
        gini_null_std=gini.null_std,
        top=column.top,
        top_share=column.top_share,
        reference_top_share=column.reference_top_share,
        reason=entropy.reason or gini.reason,
    )


def _cluster_sections(clusters: Clusters | str) -> list[Cluster]:
    if isinstance(clusters, str):
        return []
    alone = clusters.reference_outside is None
    return [
        Cluster(
            conditions=each.conditions,
            columns=each.columns,
            share=each.share,
            reference_share=each.reference_share,
            deviation=each.deviation,
            density=each.density,
            reference_density=each.reference_density,
            rows=each.rows,
            reference_rows=each.reference_rows,
            reason=_why_unknown(each.density, each.reference_density, alone=alone),
        )
        for each in clusters.clusters
    ]


def _why_unknown(density: float | None, reference_density: float | None, *, alone: bool) -> str | None:
    if alone:
        return "of the dataset alone" + (": too few different rows for a density" if density is None else "")
    return "too few different rows for a density" if density is None or reference_density is None else None


def _pattern(pattern: RarePattern) -> ReportedPattern:
    reasons = {"lost": None, "new": "the reference has none to expect rows by", "odd": "of the dataset alone"}
    return ReportedPattern(
        kind=pattern.kind,
        conditions=pattern.conditions,
        columns=pattern.columns,
        count=pattern.count,
        expected=pattern.expected,
        reference_count=pattern.reference_count,
        rows=pattern.rows,
        reason=reasons[pattern.kind],
    )

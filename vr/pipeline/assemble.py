"""Puts the parts of a run together into the report; computes nothing but sums and labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vr.core.chart import Chart
from vr.data.profile import Profile
from vr.data.schema import ColumnKind
from vr.data.source import Source
from vr.detector.calibration import load_calibration
from vr.detector.config import DetectorConfig
from vr.detector.dimensions.base import Measurement
from vr.detector.dimensions.distribution_fidelity import column_drift
from vr.detector.inputs import Inputs, Side
from vr.detector.ladder import distance
from vr.detector.metric import Feature, MetricSpec
from vr.detector.reference_free import METRICS
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import Judgement
from vr.localization.localize import Localized
from vr.pipeline.extent import NOT_ASKED
from vr.pipeline.intake import Intake
from vr.pipeline.report import (
    CalibrationSection,
    CascadeSection,
    ColumnSummary,
    DatasetSection,
    Dimension,
    DiversitySection,
    ForecastSection,
    Interval,
    LocalizationSection,
    Metric,
    MissingRegion,
    MixSection,
    OwnMetric,
    Plot,
    Region,
    RemediesSection,
    RowFinding,
    Status,
)
from vr.pipeline.sampling import check_uniform

__all__ = [
    "all_features",
    "cascade_section",
    "calibration_section",
    "collapse_probability",
    "collapse_type",
    "dataset_section",
    "dimension_sections",
    "diversity_section",
    "localization_section",
    "metric",
    "not_asked",
    "plot",
    "risk_level",
    "scaling_section",
    "severity",
]

# Which dimension's failure is called what.
_TYPES = {
    "distribution_fidelity": "distribution",
    "correlation_preservation": "correlation",
    "entropy_stability": "rare_pattern",
    "spectral_coherence": "correlation",
    "statistical_consistency": "distribution",
}


def all_features(measurements: Mapping[str, Measurement]) -> tuple[dict[str, Feature], dict[str, MetricSpec]]:
    """Returns features and their specifications by qualified name, `dimension.metric`."""
    features = {
        f"{name}.{metric}": feature
        for name, measurement in measurements.items()
        for metric, feature in measurement.features.items()
    }
    specs = {f"{name}.{metric}": spec for name, d in DIMENSIONS.items() for metric, spec in d.metrics.items()}
    return features, specs


def dimension_sections(
    measurements: Mapping[str, Measurement], config: DetectorConfig, situation: str, unscored: str | None = None
) -> dict[str, Dimension]:
    """Returns the eight dimensions as the report holds them; one without a score says why.

    Args:
      measurements: By dimension.
      config: Pass marks, where they are not to be the calibrated ones.
      situation: That of the verdict; without a reference there are no scores.
      unscored: Why nothing can be scored; None where it can.
    """
    ladders = load_calibration().ladders
    sections, scale = {}, ladders.get(situation, ladders["untrained"])
    for name, dimension in DIMENSIONS.items():
        found = measurements[name]
        # What was not measured has the threshold of a run that measures it.
        ladder = scale.get(name, ladders["trained"][name])
        set_by_user = config.dimensions[name].threshold
        threshold = ladder.threshold if set_by_user is None else set_by_user
        away = distance(found.features, dimension.metrics)
        score = None if away is None else ladder.score(away)
        reason = found.reason
        if score is None and reason is None:
            reason = unscored or "nothing that its score counts could be measured against a null"
        sections[name] = Dimension(
            score=None if score is None else round(score, 2),
            threshold=threshold,
            passed=None if score is None else score >= threshold,
            status=Status.not_measured if score is None else Status.measured,
            reason=reason if score is None else None,
            metrics={key: metric(feature, dimension.metrics[key]) for key, feature in found.features.items()},
            evidence=[plot(chart) for chart in found.charts],
        )
    return sections


def plot(chart: Chart) -> Plot:
    """Returns a chart as the report holds it."""
    return Plot(id=chart.id, kind=chart.kind, title=chart.title, caption=chart.caption, data=chart.data)


def diversity_section(
    inputs: Inputs, measurement: Measurement, alone: Mapping[str, Feature] | None = None
) -> DiversitySection:
    """Returns the candidate's diversity: what it has by itself, and what entropy_stability found missing.

    `alone` are the reference-free metrics by qualified name, where there is no reference.
    """
    specs = DIMENSIONS["entropy_stability"].metrics
    shared = ("coverage_deficit", "entropy_deficit", "uncovered_mass", "rare_patterns_lost", "effective_generations")
    unmeasured = Feature.missing(inputs.splits_reason or measurement.reason or "not measured")
    return DiversitySection(
        metrics=_variety(inputs)
        | _of_files(inputs)
        | {name: metric(measurement.features.get(name, unmeasured), specs[name]) for name in shared}
        | {name.replace(".", "_"): _alone(feature, METRICS[name]) for name, feature in (alone or {}).items()}
    )


# Differences of 0.015 nats, and of so large a share of a rank or a score, do not matter, as in the dimensions.
_VARIETY = {
    "entropy": MetricSpec("Entropy of columns", "Mean entropy of the columns' codes.", 0.015, "nats"),
    "effective_rank": MetricSpec(
        "Effective rank",
        "Exponential of the entropy of the rank correlation's eigenvalues: how many directions hold the variance.",
        0.02,
        "directions",
    ),
    "vendi_score": MetricSpec("Vendi score, order 2", "Effective number of distinct rows.", 0.05, "rows"),
}
_RELATIVE = ("effective_rank", "vendi_score")


def _variety(inputs: Inputs) -> dict[str, OwnMetric]:
    """Returns what grows with rows: at equal numbers of them where there is a reference, else of the whole sample."""
    from vr.stats.entropy import entropy_nats, vendi_order2
    from vr.stats.spectra import effective_rank

    columns, pairs = inputs.columns, inputs.pair_columns

    def of(side: Side) -> dict[str, float]:
        return {
            "entropy": float(np.mean(entropy_nats(columns.histograms(side)))),
            "effective_rank": effective_rank(side.rank_correlation(pairs)),
            "vendi_score": vendi_order2(side.features),
        }

    if inputs.splits:
        found = inputs.compare("variety", lambda base: lambda x, rng: of(x))
    else:
        found = {
            name: Feature(_finite(value), reason=inputs.splits_reason or "needs a reference")
            for name, value in of(inputs.candidate).items()
        }
    result = {}
    for name, spec in _VARIETY.items():
        reference = _finite(found[name].null_mean)
        floor = spec.floor * ((reference or 0.0) if name in _RELATIVE else 1.0)
        own = metric(found[name], replace(spec, floor=floor, higher_is_worse=False))
        result[name] = OwnMetric(**own.model_dump(), reference=reference)
    return result


def _alone(feature: Feature, spec: MetricSpec) -> Metric:
    """Returns a reference-free metric; it is comparable between datasets as it is."""
    return metric(replace(feature, reason=feature.reason or "no null: measured of the candidate alone"), spec)


def _of_files(inputs: Inputs) -> dict[str, OwnMetric]:
    """Returns what the whole files are like; each has its own number of rows, so the reference's is no null."""
    from vr.stats.patterns import missing_mass

    def unseen(profile: Profile) -> float | None:
        counts = profile.row_sketch.counts
        return _finite(missing_mass(int((counts == 1).sum()), int(counts.sum())).value)

    profile, reference = inputs.candidate_profile, inputs.reference_profile
    reason = (
        "needs a reference"
        if reference is None
        else "no null: both files are taken whole, at their own numbers of rows"
    )
    return {
        "missing_mass": OwnMetric(
            value=unseen(profile),
            reference=None if reference is None else unseen(reference),
            label="Missing mass (Good-Turing)",
            description="Probability that one more row of the file would be one not seen yet: the share of singletons.",
            reason=reason,
        ),
        "duplicate_fraction": OwnMetric(
            value=profile.duplicate_fraction,
            reference=None if reference is None else reference.duplicate_fraction,
            label="Exact duplicates",
            description="Share of the file's rows that repeat an earlier row.",
            reason=reason,
        ),
    }


def dataset_section(
    source: Source, profile: Profile, intake: Intake, inputs: Inputs, *, is_candidate: bool
) -> DatasetSection:
    """Returns what was read; column drift is told of the candidate."""
    drift = column_drift(inputs) if is_candidate else {}
    no_drift = intake.splits_reason if is_candidate else "drift is told of the candidate's columns"
    summaries = []
    for column in intake.codec.columns:
        if column.kind is ColumnKind.identifier:
            reason = "left out as an identifier: its values were not counted"
            summaries.append(
                ColumnSummary(name=column.name, kind=column.kind, nulls=None, note=column.note, reason=reason)
            )
            continue
        shift = drift.get(column.name, Feature.missing(no_drift or "not measured"))
        summaries.append(
            ColumnSummary(
                name=column.name,
                kind=column.kind,
                nulls=profile.nulls[column.name],
                distinct=min(profile.rows, round(profile.distinct[column.name].distinct())),
                drift=shift.value,
                drift_null=shift.null_mean,
                note=column.note,
                reason=shift.reason,
            )
        )
    summaries += [
        ColumnSummary(name=name, kind="ignored", nulls=None, reason="set to ignore: not read")
        for name in intake.ignored["candidate" if is_candidate else "reference"]
    ]
    return DatasetSection(
        uri=source.uri,
        format=source.format,
        rows=profile.rows,
        columns=summaries,
        fingerprint=f"{profile.fingerprint:016x}",
        notes=(intake.notes if is_candidate else []) + list(source.notes),
        sample=check_uniform(intake, is_candidate=is_candidate),
    )


def localization_section(
    found: Localized, num_rows: int, limited: str | None, not_asked: str | None = None
) -> LocalizationSection:
    """Returns the worst rows, the regions and the strip along the file.

    Args:
      found: Of the whole file.
      num_rows: Of the file.
      limited: Why only repeats were seen; None where all was.
      not_asked: Why no proxy could be asked about the rows; None where they were, or were not to be.
    """
    starts = found.blocks.starts
    ends = np.minimum(starts + found.blocks.size, num_rows)
    strip = Chart(
        id="row-scores",
        kind="strip",
        title="Row scores along the file",
        data={
            "row_start": starts.tolist(),
            "row_end": ends.tolist(),
            "score": found.blocks.mean_score.round(4).tolist(),
            "null": 0.5,
        },
        caption="Mean row score of each stretch; real rows average one half.",
    )
    reason = None if limited is None else f"only exact repeats: {limited}"
    if not found.complete:
        reason = "the file is too long for every exact repeat to be found"
    return LocalizationSection(
        reason=reason,
        proxies_reason=not_asked,
        rows=[
            RowFinding(
                row=f.row,
                score=_unit(f.score),
                confidence=_unit(f.confidence),
                defects=f.defects,
                columns=f.columns,
                reason=f.reason,
                influence=None if f.influence is None else float(f"{f.influence:.3g}"),
                cells={name: round(nats, 3) for name, nats in f.cells.items()},
            )
            for f in found.findings
        ],
        regions=[
            Region(
                row_start=r.row_start, row_end=r.row_end, defect=r.defect, score=_unit(r.score), columns=list(r.columns)
            )
            for r in found.regions
        ],
        missing_regions=[
            MissingRegion(
                conditions=list(m.conditions),
                columns=list(m.columns),
                reference_share=_unit(m.reference_share),
                candidate_share=_unit(m.candidate_share),
                reference_rows=list(m.rows),
                examples=list(m.examples),
            )
            for m in found.missing
        ],
        evidence=[plot(strip)],
    )


def not_asked(currency: str) -> dict[str, Any]:
    """Returns what stands in the place of all that a verdict does without, by the report's keys.

    Args:
      currency: Of prices, were there any.
    """
    unmeasured = {"status": Status.not_measured, "reason": NOT_ASKED}
    return {
        "diversity": DiversitySection(reason=NOT_ASKED),
        "localization": LocalizationSection(**unmeasured),
        "recommendations": [],
        "remedies": RemediesSection(
            currency=currency, mix=MixSection(**unmeasured), forecast=ForecastSection(**unmeasured)
        ),
    }


def collapse_probability(judgement: Judgement) -> Interval:
    """Returns the probability of collapse with its interval."""
    if judgement.probability is None or judgement.lower is None or judgement.upper is None:
        return Interval(value=None, lower=None, upper=None, level=judgement.level, reason=judgement.reason)
    return Interval(
        value=round(judgement.probability, 6),
        lower=round(min(judgement.lower, judgement.probability), 6),
        upper=round(max(judgement.upper, judgement.probability), 6),
        level=judgement.level,
    )


def calibration_section(judgement: Judgement, targets: Sequence[str] = ()) -> CalibrationSection:
    """Returns the head that judged, its error card and its thresholds; `targets` are what it judged by alone."""
    calibration = load_calibration()
    fitted = calibration.heads[judgement.situation]
    card, own = fitted.card, "one_target" if len(targets) == 1 else "any_label"
    return CalibrationSection(
        version=calibration.version,
        situation=judgement.situation,  # type: ignore[arg-type]
        line=fitted.line(own),
        datasets=card["datasets"],
        sources=card["sources"],
        errors={
            kind: {name: found for name, found in card[kind].items() if len(found) == 3}
            for kind in ("all", "clear", "abstaining", *(["one_target"] if len(targets) == 1 else []))
        },
        cases={kind: card[kind]["cases"][0] for kind in ("all", "clear")},
        review_from=round(judgement.review_from, 3),
        reject_from=round(judgement.reject_from, 3),
        targets=list(targets),
        beyond=list(judgement.beyond),
    )


def risk_level(risk: float | None) -> str | None:
    """Returns low below 20, medium to 50, high above; None without a risk."""
    if risk is None:
        return None
    return "low" if risk < 20 else "medium" if risk <= 50 else "high"


def severity(risk: float | None, detected: bool, reject_from: float) -> str:
    """Returns none where no collapse was detected, high where it is rejected, between them low up to a risk of 50."""
    if risk is None or not detected:
        return "none"
    return "high" if risk >= reject_from else "low" if risk <= 50 else "medium"


def collapse_type(sections: Mapping[str, Dimension], detected: bool) -> str | None:
    """Returns the kind of collapse: that of the dimension that fails by most; None where none that names one fails."""
    if not detected:
        return None
    short = {
        name: found.threshold - found.score
        for name in _TYPES
        if (found := sections[name]).score is not None and not found.passed
    }
    return _TYPES[max(short, key=lambda name: short[name])] if short else None


def cascade_section(result: Any, preset: str, reason: str | None) -> CascadeSection:
    """Returns the trained proxies as the report holds them."""
    if result is None:
        return CascadeSection(status=Status.not_measured, reason=reason, preset=preset)
    document = result.to_dict()
    # Times differ from run to run; they stand under `run`, and everything else is the same twice.
    tiers = [{key: value for key, value in tier.items() if key != "seconds"} for tier in document["tiers"]]
    return CascadeSection(status=Status.measured, preset=preset, tiers=tiers, models=document["models"])


def scaling_section(result: Any, reason: str | None) -> dict[str, Any]:
    """Returns the extrapolation, or the keys with null and the reason."""
    if result is not None and (scaling := result.to_dict()["scaling"]) is not None:
        return scaling
    reason = reason or "needs two tiers or more"
    missing = {"value": None, "lower": None, "upper": None, "level": None, "reason": reason}
    keys = dict.fromkeys(("a", "b", "c", "r_squared", "target_parameters"))
    intervals = dict.fromkeys(("predicted_loss", "predicted_excess_loss", "single_tier_excess_loss"), missing)
    return keys | intervals | {"reason": reason}


def metric(feature: Feature, spec: MetricSpec) -> Metric:
    """Returns a measured number as the report holds it."""
    return Metric(
        value=_finite(feature.value),
        null_mean=_finite(feature.null_mean),
        null_std=_finite(feature.null_std),
        unit=spec.unit,
        label=spec.label,
        description=spec.description,
        higher_is_worse=spec.higher_is_worse,
        floor=spec.floor,
        two_sided=spec.two_sided,
        judged=spec.judged,
        reason=feature.reason,
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _unit(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
